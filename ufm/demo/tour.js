"use strict";
// Eight steps for a lecture. `set` moves the sliders, `lit` are the cards seen beside the words, `asks` the controls one is asked to move;
// all of it fits on one screen, a telephone's too, so the words are few. `shows` is what the page must say there (tested).
const TOUR = [
  {
    title: "What is compared",
    set: { K: 6, n: 1, L: 1, lam: 0.01, d: 20, loss: "ce", shown: "" },
    lit: ["bars", "heat"], asks: ["K"],
    shows: { winner: "dnc", rank: 5 },
    text: `<p>Set the features <i>H</i><sub>1</sub> of a classifier free. What is left are matrices, with logits <i>Z</i> = W<sub>L</sub>⋯W<sub>1</sub>H<sub>1</sub>, one column per class.
      Training lowers the <b>mean loss</b> and pays a <b>price</b>, λ/2 times the sum of all squared entries of the factors.</p>
      <p>Compared are <b>shapes of <i>Z</i></b>. In <b class="s-dnc">dnc</b> (deep neural collapse) every class is equally far from every other, rank K − 1; in <b class="s-pairs">pairs</b> classes sit at opposite ends
      of axes, rank K/2. Each bar is loss plus price at the best size; the lowest wins. Choose one to see its logits.</p>`,
    question: "With K = 10 classes, how many dimensions do dnc and pairs use?",
    answer: "dnc uses 9 (ten points with mean zero), pairs uses 5 (one axis for every two classes). Set K to 10 and read the ranks in the bars.",
  },
  {
    title: "What a singular value costs",
    set: { K: 6, n: 1, L: 3, lam: 0.01, d: 20, loss: "ce", shown: "" },
    lit: ["price"], asks: ["L"],
    shows: { winner: "pairs", rank: 3 },
    text: `<p>Many factors have the same product <i>Z</i>. The cheapest share the work: each of the L + 1 factors carries s<sup>1/(L+1)</sup>,
      so that a singular value s of <i>Z</i> costs φ(s) = (L+1)/2 · λ · s<sup>2/(L+1)</sup>.</p>
      <p>At L = 1 the price is proportional to s. With depth the curve bends: getting a dimension started is dear, making it longer is nearly free.
      <b>A deep model pays for the number of its singular values</b>, that is for rank.</p>`,
    question: "How much more does s = 100 cost than s = 1 at L = 1, and at L = 9?",
    answer: "At L = 1 it costs 100 times as much. At L = 9 the power is 2/10, and 100 to that power is only 2.5: a long singular value costs hardly more than a short one. Move L and watch the curve.",
  },
  {
    title: "A valley and a barrier",
    set: { K: 6, n: 1, L: 2, lam: 0.02, d: 20, loss: "ce", shown: "" },
    lit: ["rays"], asks: ["lam"],
    shows: { winner: "pairs", rank: 3 },
    text: `<p>Keep a shape and change its size t. Near zero the price, a power of t below one, rises faster than the loss falls; so for L ≥ 2
      <b>zero is always a local minimum</b>. Farther out the loss wins, then the price again: a barrier (○) and a minimum (●).</p>
      <p>For dnc they are the roots of λ n<sup>1/(L+1)</sup> = a<sup>(L−1)/(L+1)</sup> / (e<sup>a</sup> + K − 1). The right side has a highest point, so above some λ both are gone.</p>`,
    question: "Raise λ slowly. Where do ○ and ● of dnc meet, and what is left when all have met?",
    answer: (ufm) => `For dnc at K = 6, L = 2, n = 1 they meet at λ = ${ufm.dnc(ufm.problem({ K: 6, L: 2, lam: 0.02, d: 20 })).fold.toFixed(4)}. Beyond the last meeting only zero is left: weights so dear that learning nothing is best.`,
  },
  {
    title: "Rank is cheap",
    set: { K: 6, n: 1, L: 2, lam: 0.005, d: 20, loss: "ce", shown: "pairs" },
    lit: ["bars", "heat"], asks: ["K", "L"],
    shows: { winner: "pairs", rank: 3 },
    text: `<p>Give dnc and pairs the same scale a. In dnc all K − 1 wrong logits lie a below the right one; in pairs too, except the partner's: it lies <b>2a</b> below.
      So pairs even has the <b>smaller loss</b>.</p>
      <p>The price: dnc pays (K − 1) φ(a), pairs K/2 · φ(2a) = K/2 · 2<sup>2/(L+1)</sup> φ(a).
      At K = 6, L = 2 that is 5 against 3 · 1.587 = 4.76. Pairs wins on both counts.</p>`,
    question: "What does the count say for K = 6 at L = 1, and for K = 4 at L = 2 and at L = 3?",
    answer: "K = 6, L = 1: 5 against 6, dnc is cheaper. K = 4, L = 2: 3 against 3.17, no decision at equal scale. K = 4, L = 3: 3 against 2.83, pairs. Pairs is surely cheaper, for even K, whenever K/2 · 2^(2/(L+1)) < K − 1, that is K ≥ 6 at L = 2 and K ≥ 4 at L ≥ 3, whatever λ is.",
  },
  {
    title: "A duel at four classes",
    set: { K: 4, n: 1, L: 2, lam: 0.0112, d: 20, loss: "ce", shown: "" },
    lit: ["verdict", "bars"], asks: ["lam", "n"],
    shows: { winner: "dnc", rank: 3 },
    text: `<p>K = 4, L = 2 is the open case: the price speaks for dnc (3 against 3.17), the loss for pairs. Here <b>λ decides</b>.
      With small λ the scales are large, the loss is tiny for both, and the price rules: dnc. With larger λ the loss counts: pairs. With still larger λ: zero.</p>
      <p>Move λ across 0.01176 and watch the star in the bars change sides.</p>`,
    question: "The crossing is at λ = 0.01176 for n = 1. Where is it for n = 8 samples per class?",
    answer: "Samples enter only through λ n^(1/(L+1)). With L = 2 and n = 8 that is 2λ, so the crossing is at half: λ = 0.00588. Try it with the slider n.",
  },
  {
    title: "The map: when collapse wins",
    set: { K: 8, n: 1, L: 2, lam: 0.001, d: 20, loss: "ce", shown: "" },
    lit: ["map"], asks: ["L"],
    shows: { winner: "pairs", rank: 4 },
    text: `<p>The same question for all K and λ at once. At L = 2 dnc holds K = 3, and K = 4 and 5 where λ is small. From six classes on it is never the best, however small λ is:
      that is the theorem behind the last steps.</p>
      <p>Odd K have a class without partner, the apex. At larger depth flatter codes take over: polygons on a circle (rank 2) and, at K = 10, L = 3, one built from the Petersen graph (rank 4).</p>`,
    question: "Set L = 1. What happens to the map, and why?",
    answer: "Up to λ = 1/K all of it belongs to dnc, beyond to zero. At L = 1 the price is λ times the sum of the singular values, and for equal gaps dnc needs K − 1 while pairs needs K/2 · 2 = K. Low rank is cheap only when the price is not proportional, that is with depth.",
  },
  {
    title: "Why collapse is seen all the same",
    set: { K: 10, n: 5, L: 2, lam: 0.0009765625, d: 40, loss: "ce", shown: "dnc" },
    lit: ["stability", "rays"], asks: ["lam"],
    shows: { winner: "pairs", rank: 5, stable: true },
    text: `<p>Losing is not disappearing. At K = 10, L = 2, n = 5, λ = 2<sup>−10</sup> pairs is lower, but dnc is still a <b>local minimum</b>: no small change of the weights leads down.</p>
      <p>For K ≥ 4 dnc has no direction of descent exactly when its scale a is at least K(L−1)/(L+1). Small λ means large a, so for λ small enough collapse is always a trap;
      with many classes, small enough is exponentially small in K.</p>`,
    question: "At which λ does dnc stop being a minimum here? And what about K = 20, L = 3, λ = 0.001?",
    answer: (ufm) => `At λ = ${ufm.stability(ufm.problem({ K: 10, n: 5, L: 2, lam: 0.001, d: 40 })).lam.toFixed(4)} for K = 10, L = 2, n = 5, where a = 10/3. At K = 20, L = 3 the scale must be at least 10, but at λ = 0.001, n = 1 it is only ${ufm.dnc(ufm.problem({ K: 20, L: 3, lam: 0.001, d: 40 })).t.toFixed(2)}: dnc is a saddle there.`,
  },
  {
    title: "Where descent ends",
    set: { K: 6, n: 1, L: 2, lam: 0.001, d: 6, loss: "ce", shown: "" },
    lit: ["descent"], asks: ["d"],
    shows: { winner: "pairs", rank: 3, stable: true },
    text: `<p>Two minima: which is found? <b>Run gradient descent</b>. With narrow layers, d = 6, most starts end in pairs. Wide random matrices, d = 40,
      have nearly equal singular values; descent keeps them all, and most runs end in <b>dnc, the worse minimum</b>.</p>
      <p><b>To take home.</b> With depth a singular value costs by being there: low rank is cheap. Among these shapes dnc wins with one layer, squared error, two or three classes,
      and at L = 2 with four or five if λ is small. Where λ is large zero wins (with three classes and depth, rank 1 just before).</p>`,
    question: "Which widths make it impossible to end in dnc at K = 6, and who can win at d = 2?",
    answer: "dnc needs rank 5, so d ≤ 4 rules it out; pairs needs 3. At d = 2 neither fits: among the shapes here the circle, six points on a regular hexagon, is lowest at this λ. Set d = 2 and look.",
  },
];

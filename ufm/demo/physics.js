"use strict";
// The deep linear unconstrained feature model in closed form, without a page around it.
//
//   F(Z) = g(Z) + (D/2) lam sum_i s_i(Z)^(2/D),   D = L + 1,   g the mean loss of K classes x n samples.
//
// Every structure is a matrix of class logits, repeated n times; its singular values are sqrt(n) times those of the
// K x K matrix, so that all is the problem n = 1 with the ridge weight lam n^(1/D).
const UFM = (() => {
  const KMAX = 20;

  function problem({ K = 4, n = 1, L = 2, lam = 0.01, d = K, loss = "ce" }) {
    const D = L + 1;
    return { K, n, L, lam, d, loss, D, p: 2 / D, ridge: lam * n ** (1 / D) };
  }

  // ---- Shapes: one scale t, class logits t X. `columns`: weight among all classes, own entry, [entry, count] of the others.
  // `modes`: [singular value of X, multiplicity].
  const remembered = new Map();
  function remember(key, make) {
    if (!remembered.has(key)) remembered.set(key, make());
    return remembered.get(key);
  }

  const shapes = {
    block: (K, k) => ({ columns: [{ w: k / K, own: 1 - 1 / k, rest: [[-1 / k, k - 1], [0, K - k]] }], modes: [[1, k - 1]] }),
    diagonal: (K, r) => ({ columns: [{ w: r / K, own: 1, rest: [[0, K - 1]] }], modes: [[1, r]] }),
    oddPairs: (K) => {
      const m = (K - 1) / 2;
      const columns = [{ w: (2 * m) / K, own: 1, rest: [[-1, 1], [0, K - 2]] }, { w: 1 / K, own: 1, rest: [[0, K - 1]] }];
      return { columns, modes: [[2, m], [1, 1]] };
    },
    circle: (K) => {
      const entry = (j) => (2 / K) * Math.cos((2 * Math.PI * j) / K);
      const rest = Array.from({ length: Math.floor(K / 2) }, (_, j) => [entry(j + 1), 2 * (j + 1) === K ? 1 : 2]);
      return { columns: [{ w: 1, own: entry(0), rest }], modes: [[1, 2]] };
    },
    petersen: () => ({ columns: [{ w: 1, own: 0.4, rest: [[-4 / 15, 3], [1 / 15, 6]] }], modes: [[1, 4]] }),
  };

  function shape(kind, K, k) {
    return remember(`${kind} ${K} ${k}`, () => ({ key: `${kind} ${K} ${k}`, ...shapes[kind](K, k) }));
  }

  const sum = (list, f) => list.reduce((total, x, i) => total + f(x, i), 0);

  function fit(X, loss, t) {
    if (loss === "mse") return sum(X.columns, ({ w, own, rest }) => 0.5 * w * ((1 - own * t) ** 2 + sum(rest, ([v, c]) => c * (v * t) ** 2)));
    return sum(X.columns, ({ w, own, rest }) => w * Math.log1p(sum(rest, ([v, c]) => c * Math.exp((v - own) * t))));
  }

  function penalty(X, P, t) {
    return 0.5 * P.D * P.ridge * t ** P.p * sum(X.modes, ([s, count]) => count * s ** P.p);
  }

  // [log, d log / d log t] of the pull -d fit/dt. The smallest gap is taken out, so that nothing underflows.
  function logPull(X, loss, t) {
    if (loss === "mse") {
      const A = sum(X.columns, ({ w, own }) => w * own);
      const B = sum(X.columns, ({ w, own, rest }) => w * (own ** 2 + sum(rest, ([v, c]) => c * v ** 2)));
      return A > B * t ? [Math.log(A - B * t), (-B * t) / (A - B * t)] : [-Infinity, -Infinity];
    }
    let least = Infinity;
    for (const { own, rest } of X.columns) for (const [v, c] of rest) if (c) least = Math.min(least, own - v);
    const outside = Math.exp(-least * t);
    let pull = 0, bend = 0;
    for (const { w, own, rest } of X.columns) {
      let total = 1, first = 0, second = 0;
      for (const [v, c] of rest) {
        const gap = own - v, part = c * Math.exp(-(gap - least) * t);
        total += part * outside;
        first += part * gap;
        second += part * gap * gap;
      }
      pull += (w * first) / total;
      bend += w * (-second / total + (first / total) ** 2 * outside);
    }
    return [Math.log(pull) - least * t, (t * bend) / pull];
  }

  // ---- Scales: pull(t) = ridge t^(p-1) sum s^p, in u = log t; the left side over the right rises to the fold and falls.
  function balance(X, P) {
    const level = Math.log(P.ridge * sum(X.modes, ([s, count]) => count * s ** P.p));
    return (u) => {
      const [value, slope] = logPull(X, P.loss, Math.exp(u));
      return [value + (1 - P.p) * u - level, slope + 1 - P.p];
    };
  }

  function summit(X, P) {
    return remember(`summit ${X.key} ${P.loss} ${P.D}`, () => {
      if (P.D === 2) return Math.log(1e-16);
      const h = balance(X, P);
      let low = -14, high = 14;
      for (let i = 0; i < 70; i++) {
        const middle = 0.5 * (low + high);
        if (h(middle)[1] > 0) low = middle;
        else high = middle;
      }
      return 0.5 * (low + high);
    });
  }

  // Newton inside a bracket: `inside` has h >= 0, `outside` h < 0.
  function solve(h, inside, outside) {
    let u = 0.5 * (inside + outside);
    for (let i = 0; i < 200; i++) {
      const [value, slope] = h(u);
      if (value >= 0) inside = u;
      else outside = u;
      let next = u - value / slope;
      const low = Math.min(inside, outside), high = Math.max(inside, outside);
      if (!(next > low && next < high)) next = 0.5 * (inside + outside);
      if (Math.abs(next - u) <= 2e-16 * (1 + Math.abs(u)) || next === u) return next;
      u = next;
    }
    return u;
  }

  // {large, small, fold}: the minimum and the barrier of F along a shape (null where there is none), and the lam above which both are gone.
  function scales(X, P, barrier = true) {
    const h = balance(X, P), top = summit(X, P), height = h(top)[0];
    const fold = P.lam * Math.exp(height);
    if (!(height > 0 && height < Infinity)) return { large: null, small: null, fold };
    let far = top + 1, near = top - 1;
    while (h(far)[0] >= 0) far += 1;
    const large = Math.exp(solve(h, top, far));
    if (P.D === 2 || !barrier) return { large, small: null, fold };
    while (h(near)[0] >= 0) near -= 5;
    return { large, small: Math.exp(solve(h, top, near)), fold };
  }

  // ---- Structures
  const zeroFit = (P) => (P.loss === "mse" ? 0.5 : Math.log(P.K));

  function partitions(total, most = total) {
    if (total === 0) return [[]];
    const found = [];
    for (let part = Math.min(total, most); part >= 1; part--) for (const rest of partitions(total - part, part)) found.push([part, ...rest]);
    return found;
  }

  function blockName(parts, loss) {
    if (parts.length === 1) return loss === "mse" ? `blocks(${parts[0]})` : "dnc";
    if (parts.every((k) => k === 2)) return "pairs";
    return `blocks(${parts.join(",")})`;
  }

  const family = (name) => name.split("(")[0];

  function missing(name, why, fold = null) {
    return { name, family: family(name), exists: false, why, fold };
  }

  function record(name, rank, P, fitted, paid, more) {
    if (rank > Math.min(P.d, P.K)) return missing(name, `needs width at least its rank ${rank}`, more.fold);
    return { name, family: family(name), exists: true, critical: true, rank, fit: fitted, penalty: paid, fun: fitted + paid, ...more };
  }

  const gone = (name, fold) => missing(name, `its two scales have met and vanished above lam = ${fold.toPrecision(4)}`, fold);

  function oneScale(name, X, P, root, rank, more = {}) {
    const { fold, ...found } = scales(X, P), t = found[root];
    if (t === null) return root === "small" && P.D === 2 ? missing(name, "there is no barrier at L = 1") : gone(name, fold);
    const covered = sum(X.columns, ({ w }) => w);
    return record(name, rank, P, fit(X, P.loss, t) + (1 - covered) * zeroFit(P), penalty(X, P, t), { fold, scales: [t], shape: X, t, barrier: found.small, ...more });
  }

  // What a block of k classes solves and costs, once per size.
  function blockTable(P, barrier = true) {
    const table = [null, { t: 0, fit: zeroFit(P) / P.K, penalty: 0, fold: Infinity }];
    for (let k = 2; k <= P.K; k++) {
      const X = shape("block", P.K, k), { fold, large: t, small } = scales(X, P, barrier);
      table.push(t === null ? { t, fold } : { t, fold, fit: fit(X, P.loss, t), penalty: penalty(X, P, t), barrier: small });
    }
    return table;
  }

  function blocks(P, parts, table, name = blockName(parts, P.loss)) {
    const fold = Math.min(...parts.map((k) => table[k].fold));
    if (parts.some((k) => table[k].t === null)) return gone(name, fold);
    const big = parts.filter((k) => k > 1), scales = big.map((k) => table[k].t), even = new Set(parts).size === 1;
    const more = { fold, parts, scales: name === "pairs" ? [scales[0] / 2] : scales, t: Math.max(...scales), barrier: even ? table[parts[0]].barrier : null };
    return record(name, P.K - parts.length, P, sum(parts, (k) => table[k].fit), sum(parts, (k) => table[k].penalty), more);
  }

  // K = 2m + 1 under cross-entropy: pairs of scale b, and a lone class with a scale and a direction of its own. Logit gaps:
  // x of the lone class above all others in its column, y of the lone row in the paired columns.
  function apexTerms(P) {
    const { K, p, D, ridge } = P, m = (K - 1) / 2, q2 = K / (K - 1);
    return ([b, x, y]) => {
      const far = Math.exp(-2 * b), mid = (K - 3) * Math.exp(-b), up = Math.exp(y - b), T = 1 + far + mid + up;
      const gb = (-2 * far - mid - up) / T, gy = up / T, w = (2 * m) / K;
      const lone = (K - 1) * Math.exp(-x), share = lone / (1 + lone);
      const tau2 = (x * x + 2 * m * y * y) / q2, tau = tau2 ** (p / 2), pair = m * (2 * b) ** p, c = (D / 2) * ridge * p;
      const fitted = w * Math.log1p(far + mid + up) + Math.log1p(lone) / K, paid = (D / 2) * ridge * (pair + tau);
      const tx = x / q2, ty = (2 * m * y) / q2, k1 = (c * tau) / tau2, k2 = (k1 * (p - 2)) / tau2;
      const g = [w * gb + (c * pair) / b, -share / K + k1 * tx, w * gy + k1 * ty];
      const H = [
        [w * ((4 * far + mid + up) / T - gb * gb) + (c * (p - 1) * pair) / (b * b), 0, w * (-up / T - gb * gy)],
        [0, (share * (1 - share)) / K + k1 / q2 + k2 * tx * tx, k2 * tx * ty],
        [w * (-up / T - gb * gy), k2 * tx * ty, w * (gy - gy * gy) + (k1 * 2 * m) / q2 + k2 * ty * ty],
      ];
      return { fitted, paid, f: fitted + paid, g, H, tau: Math.sqrt(tau2) };
    };
  }

  function solve3(H, g, shift) {
    const A = H.map((row, i) => [...row.map((v, j) => v + (i === j ? shift : 0)), -g[i]]);
    for (let i = 0; i < 3; i++) {
      let best = i;
      for (let r = i + 1; r < 3; r++) if (Math.abs(A[r][i]) > Math.abs(A[best][i])) best = r;
      [A[i], A[best]] = [A[best], A[i]];
      for (let r = i + 1; r < 3; r++) for (let c = 3, f = A[r][i] / A[i][i]; c >= i; c--) A[r][c] -= f * A[i][c];
    }
    const x = [0, 0, 0];
    for (let i = 2; i >= 0; i--) x[i] = (A[i][3] - sum(x.slice(i + 1), (v, j) => v * A[i][i + 1 + j])) / A[i][i];
    return x;
  }

  const norm = (v) => Math.sqrt(sum(v, (x) => x * x));

  function descend3(terms, v) {
    let here = terms(v), shift = 0;
    for (let i = 0; i < 200; i++) {
      const step = solve3(here.H, here.g, shift), to = v.map((x, j) => x + step[j]), size = norm(v);
      const down = sum(step, (s, j) => s * here.g[j]) < 0, there = to[0] > 0 ? terms(to) : null;
      if (there && ((down && there.f <= here.f) || (shift === 0 && norm(step) < 1e-9 * size))) {
        [v, here] = [to, there];
        if (shift === 0 && norm(step) <= 4e-16 * norm(v)) break;
        shift = shift > 1e-9 * norm(here.H.flat()) ? shift / 8 : 0;
      } else if (norm(step) < 1e-13 * size) break;
      else shift = shift ? shift * 4 : 1e-3 * norm(here.H.flat());
      if (!(v[0] > 1e-6 * norm(v) && here.tau > 1e-6 * norm(v))) return null;
    }
    return { v, ...here };
  }

  function pairsApex(P, guess) {
    const name = "pairs+apex", m = (P.K - 1) / 2, rank = m + 1;
    if (!guess.exists) return missing(name, guess.why, guess.fold);
    const terms = apexTerms(P), q = Math.sqrt(P.K / (P.K - 1)), b = guess.scales[0];
    let best = null;
    for (const [s0, s1, s2] of [[1, 1, 0], [1, 2, 0], [1, 1.5, -0.5], [1, 1.5, 0.5], [0.7, 1, -1]]) {
      const end = descend3(terms, [s0 * b, s1 * b * q, (s2 * b * q) / Math.sqrt(2 * m)]);
      if (end && (!best || end.f < best.f)) best = end;
    }
    if (!best) return missing(name, "every start ended at a lower rank", guess.fold);
    const [scale, x, y] = best.v, tau = best.tau, scales = [scale, x / q, (y * Math.sqrt(2 * m)) / q];
    return record(name, rank, P, best.fitted, best.paid, { fold: guess.fold, scales, t: Math.max(2 * scale, tau), tau, barrier: null });
  }

  function oddPairs(P) {
    const st = oneScale("pairs", shape("oddPairs", P.K), P, "large", (P.K + 1) / 2, { critical: false });
    return st.exists ? { ...st, t: 2 * st.t, barrier: st.barrier && 2 * st.barrier, critical: false } : st;
  }

  function mseApex(P, table) {
    const name = "pairs+apex", own = shape("diagonal", P.K, 1), { t, fold, fit: fitted, penalty: paid } = table[2], m = (P.K - 1) / 2;
    if (t === null) return gone(name, fold);
    return record(name, m + 1, P, m * fitted + fit(own, P.loss, t), m * paid + penalty(own, P, t), { fold, scales: [t / 2, t], t, barrier: table[2].barrier });
  }

  function zero(P) {
    return record("zero", 0, P, zeroFit(P), 0, { fold: Infinity, scales: [], t: 0, barrier: null });
  }

  function dnc(P, root = "large") {
    const name = root === "large" ? "dnc" : "dnc(small)";
    if (P.loss === "ce") return oneScale(name, shape("block", P.K, P.K), P, root, P.K - 1, { parts: [P.K] });
    const r = Math.min(P.d, P.K);
    return oneScale(name, shape("diagonal", P.K, r), P, root, r, { modes: r });
  }

  // All structures in the order of the package: zero, dnc, dnc(small), pairs, pairs+apex, mixtures, circle, petersen.
  function structures(P) {
    const table = blockTable(P), list = [zero(P), dnc(P)], odd = P.K % 2 === 1;
    if (P.L >= 2) list.push(dnc(P, "small"));
    const pairs = odd ? oddPairs(P) : blocks(P, Array(P.K / 2).fill(2), table, "pairs");
    if (P.K > 2) list.push(pairs); // one pair alone is dnc
    if (odd && P.K > 3) list.push(P.loss === "mse" ? mseApex(P, table) : pairsApex(P, pairs));
    for (const parts of remember(`partitions ${P.K}`, () => partitions(P.K))) {
      const name = blockName(parts, P.loss);
      if (parts[0] > 1 && name !== "dnc" && name !== "pairs") list.push(blocks(P, parts, table));
    }
    if (P.loss === "ce" && P.K >= 5) list.push(oneScale("circle", shape("circle", P.K), P, "large", 2));
    if (P.loss === "ce" && P.K === 10) list.push(oneScale("petersen", shape("petersen", 10), P, "large", 4));
    return list;
  }

  // The lowest critical structure; the first in order among equals.
  function winner(list) {
    const here = list.filter((s) => s.exists && s.critical), low = Math.min(...here.map((s) => s.fun));
    return here.find((s) => s.fun <= low + 1e-12 * (1 + Math.abs(low))) || here[0];
  }

  function verdict(P, list = structures(P)) {
    const best = winner(list), above = list.filter((s) => s.exists && s.critical && s.fun > best.fun + 1e-9 * (1 + Math.abs(best.fun)));
    const next = above.reduce((low, s) => (low && low.fun <= s.fun ? low : s), null);
    return { winner: best, next, margin: next ? next.fun - best.fun : null };
  }

  // The winner without the others: mixtures add up over their blocks, so that the best one is found by dynamic programming.
  function lowest(P) {
    const table = blockTable(P, false), candidates = [zero(P), dnc(P)];
    const parts = bestParts(P, table);
    if (parts) candidates.push(blocks(P, parts, table));
    if (P.K % 2 && P.K > 3) candidates.push(P.loss === "mse" ? mseApex(P, table) : pairsApex(P, oddPairs(P)));
    if (P.loss === "ce" && P.K >= 5) candidates.push(oneScale("circle", shape("circle", P.K), P, "large", 2));
    if (P.loss === "ce" && P.K === 10) candidates.push(oneScale("petersen", shape("petersen", 10), P, "large", 4));
    return winner(candidates);
  }

  function bestParts(P, table) {
    const { K } = P, cost = table.map((b, k) => (k && b.t !== null ? b.fit + b.penalty : Infinity));
    const best = Array.from({ length: K + 1 }, () => Array(K + 1).fill(null));
    best[0][0] = { fun: 0 };
    for (let total = 1; total <= K; total++) {
      for (let count = 1; count <= total; count++) {
        for (let k = 1; k <= total; k++) {
          const rest = best[total - k][count - 1], here = best[total][count];
          if (rest && cost[k] < Infinity && (!here || rest.fun + cost[k] < here.fun)) best[total][count] = { fun: rest.fun + cost[k], last: k, rest };
        }
      }
    }
    let found = null;
    for (let count = Math.max(1, K - P.d); count < K; count++) if (best[K][count] && (!found || best[K][count].fun < found.fun)) found = best[K][count];
    const parts = [];
    for (let at = found; at && at.last; at = at.rest) parts.push(at.last);
    return found && parts.sort((a, b) => b - a);
  }

  // The lam in [low, high] where the winner stops being the one at `low`: {lam, below, above}.
  function crossing(p, low, high) {
    const at = (u) => lowest(problem({ ...p, lam: Math.exp(u) })).name, below = at(Math.log(low));
    let [a, b, above] = [Math.log(low), Math.log(high), at(Math.log(high))];
    for (let j = 0; j < 45; j++) {
      const middle = 0.5 * (a + b), name = at(middle);
      if (name === below) a = middle;
      else [b, above] = [middle, name];
    }
    return { lam: Math.exp(0.5 * (a + b)), below, above };
  }

  const grid = (low, high, size) => Array.from({ length: size }, (_, i) => Math.exp(Math.log(low) + (i / (size - 1)) * Math.log(high / low)));

  // Cross-entropy, K >= 4: the collapsed point is a local minimum iff a >= K(L-1)/(L+1); `lam` is where its large scale passes that.
  function stability(P) {
    if (P.loss !== "ce" || P.K < 4) return null;
    const threshold = (P.K * (P.L - 1)) / (P.L + 1), point = dnc({ ...P, d: P.K });
    const lam = threshold ** (1 - P.p) / (Math.exp(threshold) + P.K - 1) / P.n ** (1 / P.D);
    return { threshold, lam, scale: point.exists ? point.t : null, stable: point.exists ? point.t >= threshold : null };
  }

  // F along t -> t Z / (largest singular value of Z): an array of values at the given t.
  function ray(P, st, ts) {
    const Z = logits(P, st), top = st.t, s = classSpectrum(P, st);
    const columns = distinctColumns(Z);
    return ts.map((t) => {
      const f = t / top, paid = 0.5 * P.D * P.ridge * sum(s, (x) => (f * x) ** P.p);
      return paid + sum(columns, ({ z, own, w }) => w * columnLoss(P.loss, z, own, f));
    });
  }

  function distinctColumns(Z) {
    const K = Z.length, seen = new Map();
    for (let c = 0; c < K; c++) {
      const z = Z.map((row) => row[c]), key = [z[c], ...z.filter((_, r) => r !== c).sort((a, b) => a - b)].map((v) => v.toPrecision(12)).join();
      if (!seen.has(key)) seen.set(key, { z, own: c, w: 0 });
      seen.get(key).w += 1 / K;
    }
    return [...seen.values()];
  }

  function columnLoss(loss, z, own, f = 1) {
    if (loss === "mse") return 0.5 * sum(z, (v, r) => (f * v - (r === own ? 1 : 0)) ** 2);
    let top = 0, other = 0;
    z.forEach((v) => (top = Math.max(top, f * (v - z[own]))));
    z.forEach((v, r) => (other += r === own ? 0 : Math.exp(f * (v - z[own]) - top)));
    return top > 0 ? top + Math.log(Math.exp(-top) + other) : Math.log1p(other);
  }

  // ---- Matrices
  const zeros = (K) => Array.from({ length: K }, () => Array(K).fill(0));

  // Class logits (K x K): row the logit, column the class.
  function logits(P, st) {
    const { K } = P, Z = zeros(K), m = Math.floor(K / 2);
    if (st.name === "zero") return Z;
    const put = (f) => Z.map((row, i) => row.map((_, j) => f(i, j)));
    if (st.modes) return put((i, j) => (i === j && i < st.modes ? st.t : 0));
    if (st.parts) {
      let first = 0, part = 0;
      const a = st.parts.filter((k) => k > 1).map((_, i) => (st.name === "pairs" ? 2 * st.scales[0] : st.scales[i]));
      for (const k of st.parts) {
        for (let i = 0; i < k && k > 1; i++) for (let j = 0; j < k; j++) Z[first + i][first + j] = a[part] * ((i === j ? 1 : 0) - 1 / k);
        first += k;
        part += 1;
      }
      return Z;
    }
    if (st.name === "circle") return put((i, j) => (2 / K) * st.t * Math.cos((2 * Math.PI * (i - j)) / K));
    if (st.name === "petersen") {
      const duads = pairsOf(5);
      return put((i, j) => st.t * (i === j ? 0.4 : duads[i].some((x) => duads[j].includes(x)) ? 1 / 15 : -4 / 15));
    }
    const [b, t0, t1] = st.scales;
    for (let i = 0; i < 2 * m; i++) for (const j of [i, i ^ 1]) Z[i][j] = i === j ? b : -b;
    if (st.name === "pairs") Z[K - 1][K - 1] = b;
    else if (P.loss === "mse") Z[K - 1][K - 1] = t0;
    else {
      const u = (i) => (i === K - 1 ? Math.sqrt((K - 1) / K) : -1 / Math.sqrt(K * (K - 1)));
      for (let i = 0; i < K; i++) for (let j = 0; j < K; j++) Z[i][j] += u(i) * (j === K - 1 ? t0 : t1 / Math.sqrt(2 * m));
    }
    return Z;
  }

  function pairsOf(count) {
    const found = [];
    for (let i = 0; i < count; i++) for (let j = i + 1; j < count; j++) found.push([i, j]);
    return found;
  }

  function classSpectrum(P, st) {
    const many = (t, count) => Array(count).fill(t), m = Math.floor(P.K / 2);
    let s = [];
    if (st.shape) s = st.shape.modes.flatMap(([x, count]) => many(x * st.scales[0], count));
    else if (st.parts) {
      const a = st.parts.filter((k) => k > 1).map((_, i) => (st.name === "pairs" ? 2 * st.scales[0] : st.scales[i]));
      s = a.flatMap((t, i) => many(t, st.parts[i] - 1));
    } else if (st.name === "pairs+apex") s = [...many(2 * st.scales[0], m), P.loss === "mse" ? st.scales[1] : st.tau];
    return s.sort((x, y) => y - x);
  }

  // Singular values of the K x N logits, exactly `rank` of them.
  const spectrum = (P, st) => classSpectrum(P, st).map((s) => s * Math.sqrt(P.n));

  // One-sided Jacobi: {s, V}, s descending, V[c] the row of class c.
  function svd(Z) {
    const K = Z.length, A = Z[0].map((_, c) => Z.map((row) => row[c])), V = A.map((_, c) => A.map((_, j) => (j === c ? 1 : 0)));
    const dot = (x, y) => {
      let total = 0;
      for (let k = 0; k < K; k++) total += x[k] * y[k];
      return total;
    };
    for (let sweep = 0, turned = true; sweep < 60 && turned; sweep++) {
      turned = false;
      for (let i = 0; i < K - 1; i++) {
        for (let j = i + 1; j < K; j++) {
          const a = dot(A[i], A[i]), b = dot(A[j], A[j]), c = dot(A[i], A[j]);
          if (Math.abs(c) <= 1e-15 * Math.sqrt(a * b) || c === 0) continue;
          turned = true;
          const r = (b - a) / (2 * c), t = (r < 0 ? -1 : 1) / (Math.abs(r) + Math.hypot(1, r)), cos = 1 / Math.hypot(1, t), sin = cos * t;
          for (const M of [A, V]) {
            for (let k = 0; k < K; k++) {
              const x = M[i][k], y = M[j][k];
              M[i][k] = cos * x - sin * y;
              M[j][k] = sin * x + cos * y;
            }
          }
        }
      }
    }
    const order = A.map((x, i) => [norm(x), i]).sort((x, y) => y[0] - x[0]);
    return { s: order.map(([s]) => s), V: Z.map((_, c) => order.map(([, i]) => V[i][c])) };
  }

  // Classes as points: V diag(s)^(1/2) in the space of the leading singular values, at most three coordinates.
  // Where more singular values tie with the third, all classes are treated alike: a shadow along harmonics of the class number.
  function coordinates(Z, tol = 1e-6) {
    const { s, V } = svd(Z), K = Z.length, rank = s.filter((x) => x > tol * s[0] && s[0] > 0).length;
    const full = V.map((row) => row.slice(0, rank).map((v, i) => v * Math.sqrt(s[i]))), near = nearest(full);
    if (rank <= 3) return { rank, near, points: V.map((row) => Array.from({ length: Math.min(3, Math.max(rank, 2)) }, (_, i) => (i < rank ? row[i] * Math.sqrt(s[i]) : 0))) };
    const lead = s.filter((x) => x >= s[2] * (1 - 1e-3)).length, basis = [];
    for (const wave of [(c) => Math.cos(c), (c) => Math.sin(c), (c) => Math.cos(2 * c), (c) => Math.sin(2 * c), (c) => Math.cos(3 * c), (c) => c * c]) {
      let q = Array.from({ length: lead }, (_, i) => sum(V, (row, c) => row[i] * wave((2 * Math.PI * c) / K)));
      for (let twice = 0; twice < 2; twice++) for (const e of basis) q = ((f) => q.map((x, i) => x - f * e[i]))(sum(q, (x, i) => x * e[i]));
      if (basis.length < 3 && norm(q) > 1e-3) basis.push(q.map((x) => x / norm(q)));
    }
    return { rank, near, points: V.map((row) => basis.map((e) => sum(e, (x, i) => x * row[i] * Math.sqrt(s[i])))) };
  }

  // Pairs of classes that are nearest neighbours of one of the two, up to a relative slack.
  function nearest(points, slack = 0.12) {
    const gap = points.map((a) => points.map((b) => norm(a.map((v, i) => v - b[i])))), size = Math.max(...gap.flat());
    const least = gap.map((row, i) => Math.min(...row.filter((v, j) => j !== i)));
    return pairsOf(points.length).filter(([i, j]) => gap[i][j] <= (1 + slack) * Math.max(least[i], least[j]) && gap[i][j] > 1e-3 * size);
  }

  // ---- Gradient descent on the factors, one column per class, ridge lam n^(1/D) on each
  function mulberry32(seed) {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) >>> 0;
      let t = Math.imul(a ^ (a >>> 15), a | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function gaussian(random) {
    return () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }

  const matrix = (rows, cols, fill = () => 0) => ({ rows, cols, data: Float64Array.from({ length: rows * cols }, fill) });

  // C = op(A) op(B) with optional transposes.
  function times(A, B, left = false, right = false) {
    const rows = left ? A.cols : A.rows, inner = left ? A.rows : A.cols, cols = right ? B.rows : B.cols, C = matrix(rows, cols);
    for (let i = 0; i < rows; i++) {
      for (let k = 0; k < inner; k++) {
        const a = left ? A.data[k * A.cols + i] : A.data[i * A.cols + k];
        for (let j = 0; j < cols; j++) C.data[i * cols + j] += a * (right ? B.data[j * B.cols + k] : B.data[k * cols + j]);
      }
    }
    return C;
  }

  const asRows = (M) => Array.from({ length: M.rows }, (_, i) => Array.from(M.data.subarray(i * M.cols, (i + 1) * M.cols)));

  function fitAndGradient(loss, Z) {
    const K = Z.rows, G = matrix(K, K), at = (r, c) => Z.data[r * K + c];
    let value = 0;
    for (let c = 0; c < K; c++) {
      const z = Array.from({ length: K }, (_, r) => at(r, c)), top = Math.max(...z), total = sum(z, (v) => Math.exp(v - top));
      value += columnLoss(loss, z, c) / K;
      for (let r = 0; r < K; r++) G.data[r * K + c] = ((loss === "mse" ? z[r] : Math.exp(z[r] - top) / total) - (r === c ? 1 : 0)) / K;
    }
    return [value, G];
  }

  // {fun, grads, Z} at factors [H_1, W_1, ..., W_L].
  function evaluate(P, factors) {
    const layers = [factors[0]];
    for (const W of factors.slice(1)) layers.push(times(W, layers[layers.length - 1]));
    const Z = layers[P.L];
    let [fun, back] = fitAndGradient(P.loss, Z);
    const grads = [];
    for (let l = P.L; l >= 0; l--) {
      const G = l ? times(back, layers[l - 1], false, true) : back, W = factors[l];
      W.data.forEach((w, i) => {
        fun += 0.5 * P.ridge * w * w;
        G.data[i] += P.ridge * w;
      });
      if (l) back = times(W, back, true);
      grads[l] = G;
    }
    return { fun, grads, Z };
  }

  function descent(P, seed = 1, scale = 1 / Math.sqrt(P.d)) {
    const draw = gaussian(mulberry32(seed)), sizes = [P.K, ...Array(P.L).fill(P.d), P.K];
    const factors = sizes.slice(1).map((rows, i) => matrix(rows, sizes[i], () => scale * draw()));
    return { P, seed, factors, ...evaluate(P, factors), steps: 0, lr: 0.5, done: false };
  }

  const gradNorm = (run) => Math.sqrt(sum(run.grads, (G) => sum(Array.from(G.data), (g) => g * g)));

  // At most `count` steps; a step that does not lower F enough is halved, one that does is followed by a longer one.
  function advance(run, count, tol = 1e-7, most = 40000) {
    for (let i = 0; i < count && !run.done; i++) {
      const square = gradNorm(run) ** 2;
      if (square <= tol * tol || run.steps >= most) run.done = true;
      else step(run, square);
    }
    return run;
  }

  function step(run, square) {
    for (let tries = 0; tries < 60; tries++) {
      const factors = run.factors.map((W, l) => ({ ...W, data: W.data.map((w, i) => w - run.lr * run.grads[l].data[i]) }));
      const next = evaluate(run.P, factors);
      if (next.fun <= run.fun - 0.3 * run.lr * square) {
        Object.assign(run, next, { factors, steps: run.steps + 1, lr: run.lr * 1.1 });
        return;
      }
      run.lr /= 2;
    }
    run.done = true;
  }

  // ---- A name for an end point: equal loss, singular values, and columns up to class permutation, within tol
  function centred(Z) {
    const K = Z.length, mean = Z[0].map((_, c) => sum(Z, (row) => row[c]) / K);
    return Z.map((row) => row.map((v, c) => v - mean[c]));
  }

  const column = (Z, c) => [Z[c][c], ...Z.map((row) => row[c]).filter((_, r) => r !== c).sort((x, y) => x - y)];

  function columnDistance(A, B) {
    const left = B.map((_, c) => column(B, c));
    return Math.sqrt(sum(A, (_, c) => {
      const mine = column(A, c), gaps = left.map((other) => sum(other, (v, i) => (v - mine[i]) ** 2));
      const best = gaps.indexOf(Math.min(...gaps));
      left.splice(best, 1);
      return gaps[best];
    }));
  }

  function identify(P, Z, fun, tol = 0.02) {
    const plain = P.loss === "mse" ? (A) => A : centred, M = plain(Z), { s } = svd(M), size = norm(s);
    const rank = s.filter((x) => x > tol * s[0]).length;
    if (size < 1e-3) return { name: "zero", family: "zero", rank: 0, distance: size };
    let best = null;
    for (const st of structures(P)) {
      if (!st.exists || !st.critical || st.rank !== rank || Math.abs(st.fun - fun) > 1e-3 * (1e-2 + Math.abs(fun))) continue;
      const B = plain(logits(P, st)), values = svd(B).s, spread = norm(s.map((x, i) => x - values[i])) / size;
      const distance = spread <= tol ? Math.max(spread, columnDistance(M, B) / size) : Infinity;
      if (distance <= tol && (!best || distance < best.distance)) best = { name: st.name, family: st.family, rank, distance };
    }
    return best || { name: `unnamed(rank=${rank})`, family: "unnamed", rank, distance: null };
  }

  return {
    KMAX, problem, shape, fit, scales, structures, winner, verdict, lowest, crossing, grid, stability, ray, logits, spectrum, classSpectrum, svd,
    coordinates, mulberry32, evaluate, descent, advance, gradNorm, identify, asRows, partitions, zero, dnc, matrix,
  };
})();

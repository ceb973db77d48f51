"use strict";
// State, controls and pictures. The state lives in the address, so that every view can be linked.
const Page = (() => {
  const $ = (id) => document.getElementById(id);
  const LIMITS = { K: [2, 20], n: [1, 50], L: [1, 10], d: [1, 40] }, LEAST = 1e-6, MOST = 1;
  const START = { K: 6, n: 1, L: 2, lam: 0.005, d: 20, loss: "ce", shown: "", step: 0, theme: "" };
  const LAMS = UFM.grid(1e-6, 1, 73);
  const state = { ...START }, view = { azimuth: 0.6, elevation: 0.4 }, timing = { last: 0, worst: 0 };
  let now = null, run = null, pending = 0, mistake = "", listeners = [];

  const within = (lam) => Math.min(MOST, Math.max(LEAST, lam));

  // ---- The address
  function read(hash) {
    const asked = new URLSearchParams(hash.replace(/^#/, "")), found = { ...START };
    for (const [key, [low, high]] of Object.entries(LIMITS)) {
      const value = Math.round(Number(asked.get(key)));
      if (asked.has(key) && Number.isFinite(value)) found[key] = Math.min(high, Math.max(low, value));
    }
    if (Number(asked.get("lam")) > 0) found.lam = within(Number(asked.get("lam")));
    if (["ce", "mse"].includes(asked.get("loss"))) found.loss = asked.get("loss");
    if (["light", "dark"].includes(asked.get("theme"))) found.theme = asked.get("theme");
    found.shown = asked.get("shown") || "";
    found.step = Math.min(TOUR.length, Math.max(0, Math.round(Number(asked.get("step"))) || 0));
    return found;
  }

  // Browsers allow some 200 changes of the address in ten seconds; while a slider is dragged the rest wait for a pause.
  const address = { left: 80, at: 0, timer: 0 };
  function write() {
    const time = performance.now();
    address.left = Math.min(80, address.left + (time - address.at) / 100);
    address.at = time;
    clearTimeout(address.timer);
    if (address.left < 1) return void (address.timer = setTimeout(write, 300));
    address.left -= 1;
    const kept = Object.entries(state).filter(([key, value]) => !["shown", "theme"].includes(key) || value).filter(([key, value]) => key !== "step" || value);
    history.replaceState(null, "", `#${new URLSearchParams(kept.map(([key, value]) => [key, key === "lam" ? String(Number(value.toPrecision(10))) : value]))}`);
  }

  // ---- Changes
  function set(changes) {
    const before = JSON.stringify(modelOf(state));
    Object.assign(state, changes);
    if ("lam" in changes) mistake = "";
    if (JSON.stringify(modelOf(state)) !== before) {
      stop(true);
      forgetFound();
    }
    if (!pending) pending = requestAnimationFrame(render);
  }

  const modelOf = ({ K, n, L, lam, d, loss }) => ({ K, n, L, lam, d, loss });

  function compute() {
    const P = UFM.problem(state), list = UFM.structures(P), { winner, next, margin } = UFM.verdict(P, list);
    const here = list.filter((s) => s.exists).sort((a, b) => a.fun - b.fun);
    const shown = here.find((s) => s.name === state.shown) || winner;
    return { P, list, here, winner, next, margin, shown, top: list[0].fun };
  }

  function render() {
    const began = performance.now();
    pending = 0;
    now = compute();
    write();
    listeners.forEach((tell) => tell());
    showControls();
    showVerdict();
    showStability();
    showBars();
    showShape();
    showCompared();
    showMap();
    timing.last = performance.now() - began;
    timing.worst = Math.max(timing.worst, timing.last);
  }

  // Measured once: reading a width after writing would make the browser lay out the page again and again.
  const widths = new Map();
  function width(id) {
    if (!widths.has(id)) widths.set(id, Math.max(220, Math.floor($(id).clientWidth || 320)));
    return widths.get(id);
  }

  // Beside the words of the tour a low screen has less room.
  const low = () => state.step > 0 && window.innerHeight <= 900, narrow = () => low() && window.innerWidth < 992;

  function measure() {
    widths.clear();
    DRAWN.forEach(width);
  }

  const DRAWN = ["stability", "heat", "code", "rays", "price", "spectrum", "map", "descent-loss", "descent-heat", "descent-s"];

  function showControls() {
    for (const key of Object.keys(LIMITS)) {
      $(key).value = state[key];
      $(`${key}-out`).textContent = state[key];
    }
    if (!mistake && document.activeElement !== $("lam")) $("lam").value = written(state.lam);
    $("lam").setAttribute("aria-invalid", String(Boolean(mistake)));
    $("lam-mistake").hidden = !mistake;
    document.body.classList.toggle("mistaken", Boolean(mistake));
    ["run", "ten", "better"].forEach((id) => ($(id).disabled = Boolean(mistake) || (id === "ten" && Boolean(run)) || (id === "better" && Boolean(asking))));
    $("lam-log").value = Math.log10(state.lam);
    $("lam-log").setAttribute("aria-valuetext", `lambda ${Draw.number(state.lam)}`);
    for (const radio of document.getElementsByName("loss")) radio.checked = radio.value === state.loss;
    document.documentElement.dataset.theme = state.theme;
    $("theme").textContent = `Colours: ${state.theme || "auto"}`;
    $("theme").setAttribute("aria-label", `Colours: ${state.theme || "as the system"}; press to change`);
  }

  const said = new Map();
  function say(id, html) {
    if (said.get(id) !== html) $(id).innerHTML = html;
    said.set(id, html);
  }

  // ---- The number lambda: at most ten digits, which the box has room for.
  function written(lam) {
    const x = Number(lam.toPrecision(10));
    return x < 1e-3 && String(x).length > 12 ? String(x.toExponential()) : String(x);
  }

  function readLam(event) {
    const words = $("lam").value, lam = Draw.readNumber(words);
    if (lam >= LEAST && lam <= MOST) {
      set({ lam });
      if (event.type === "change") $("lam").value = written(lam);
    } else {
      mistake = words.trim() ? `λ = ${words.trim()} is not allowed` : "λ is missing";
      stop(true);
      forgetFound();
      set({});
    }
  }

  function showVerdict() {
    if (mistake) return say("verdict", `No verdict: ${Draw.esc(mistake)}. It must be a number from ${Draw.number(LEAST)} to ${MOST}.`);
    const { P, winner, next, margin, list } = now, { tag, number } = Draw;
    let words = `${tag(winner.name, winner.family)} wins${winner.rank ? ` with rank ${winner.rank}` : ": learning nothing is best"}. F = ${number(winner.fun, 6)}`;
    words += next ? `, ${number(margin, 3)} below ${tag(next.name, next.family)}.` : ".";
    const dnc = list[1];
    if (!dnc.exists) words += ` dnc is not here: ${Draw.esc(dnc.why)}${/width/.test(dnc.why) ? `; d = ${P.d}` : ""}.`;
    say("verdict", words);
  }

  function showStability() {
    const { P, list } = now, found = UFM.stability(P), fits = list[1].exists;
    if (mistake) return ["stability", "stability-text"].forEach((id) => say(id, ""));
    say("stability", found && fits ? Draw.gauge(width("stability"), found) : "");
    const say1 = (text) => say("stability-text", text);
    if (P.loss === "mse") say1("The rule shown here is for cross-entropy.");
    else if (P.K < 4) say1("The rule shown here is for four and more classes.");
    else if (!fits) say1(`There is no dnc here: ${Draw.esc(list[1].why)}.`);
    else if (found.stable) say1(`Yes: dnc has no direction of descent${P.L > 1 ? ` up to λ = ${Draw.number(found.lam)}` : ", at any λ where it exists"}.`);
    else say1(`No: dnc is a saddle here. It is a minimum only up to λ = ${Draw.number(found.lam)}.`);
  }

  // ---- Structures
  function listed() {
    const { here, winner, shown } = now, basic = ["zero", "dnc", "pairs", "pairs+apex", "circle", "petersen"];
    const always = here.filter((s) => basic.includes(s.name) || s === winner || s === shown), room = Math.max(0, (low() ? 7 : 10) - always.length);
    const mixtures = here.filter((s) => !always.includes(s)).slice(0, Math.min(3, room));
    return here.filter((s) => always.includes(s) || mixtures.includes(s));
  }

  function showBars() {
    const rows = listed(), most = Math.min(Math.max(...rows.map((s) => s.fun)), 1.6 * now.winner.fun), { number, esc, tint } = Draw;
    const part = (from, to) => ((100 * (Math.min(to, most) - Math.min(from, most))) / most || 0).toFixed(2);
    const html = rows.map((s) => {
      const say = `${s.name}, rank ${s.rank}, F ${number(s.fun, 6)}: loss ${number(s.fit)}, price ${number(s.penalty)}${s === now.winner ? ", the lowest" : ""}${s.critical ? "" : ", a comparison point, not critical"}`;
      return `<button type="button" class="bar${s === now.winner ? " best" : ""}" data-name="${esc(s.name)}" aria-pressed="${s === now.shown}" aria-label="${esc(say)}" style="--c:${tint(s.family)}">
        <span>${esc(Draw.short(s.name))}${s.critical ? "" : "*"} <small>rank ${s.rank}</small></span><span class="track${s.fun > 1.001 * most ? " long" : ""}"><i style="width:${part(0, s.fit)}%"></i><i style="width:${part(s.fit, s.fun)}%"></i></span><span class="value">${number(s.fun, 5)}</span></button>`;
    });
    const focused = document.activeElement && document.activeElement.dataset.name;
    const star = rows.some((s) => !s.critical) ? '<p class="hint">* a comparison point, not critical: the lone class wants a scale of its own.</p>' : "";
    say("bars", html.join("") + star);
    if (focused) [...$("bars").querySelectorAll("button")].find((b) => b.dataset.name === focused)?.focus();
  }

  function showShape() {
    const { P, shown } = now, Z = UFM.logits(P, shown), who = Draw.tag(shown.name, shown.family);
    say("h-heat", `Logits of ${who}`);
    say("heat", Draw.heat(width("heat"), Z, `Logits of ${shown.name}`));
    now.code = UFM.coordinates(Z);
    showCode();
  }

  function showCode() {
    const { shown } = now, { rank, points } = now.code;
    say("h-code", `The code of ${Draw.tag(shown.name, shown.family)}`);
    const dims = points[0].length, words = rank === 0 ? "All classes at one point." : rank <= dims ? `Each class a point in ${rank} dimension${rank > 1 ? "s" : ""}.` : `A shadow in 3-D of points in ${rank} dimensions.`;
    say("code-hint", `${words} Drag or use the arrow keys to rotate.`);
    say("code", Draw.code(width("code"), now.code, view, shown.family, `${shown.name}: ${words}`));
  }

  // dnc, the best low-rank structure, and what is shown
  function compared() {
    const { here, winner, shown } = now, by = (name) => here.find((s) => s.name === name);
    const wanted = [by("dnc"), by("pairs+apex") || by("pairs"), winner, shown];
    return wanted.filter((s, i) => s && s.rank && wanted.indexOf(s) === i);
  }

  function showCompared() {
    const { P, top } = now, items = compared(), described = items.map((s) => ({ name: s.name, family: s.family, s: UFM.spectrum(P, s) }));
    const legend = `<div class="legend">${items.map((s) => Draw.tag(s.name, s.family)).join("")}</div>`;
    say("rays", Draw.rays(width("rays"), P, items, top, narrow() ? 180 : 250) + legend);
    say("spectrum", Draw.spectrum(width("spectrum"), P.K, described) + legend);
    say("price", Draw.price(width("price"), P, described) + legend);
  }

  // ---- The map, computed in short slices while nothing else happens
  const atlas = { key: "", rows: [], timer: 0 };

  function showMap() {
    const { K, lam, ...rest } = modelOf(state), key = JSON.stringify(rest);
    if (key !== atlas.key) {
      clearTimeout(atlas.timer);
      Object.assign(atlas, { key, rows: Array(19), cell: 0, order: rowOrder(K), crossings: new Map() });
      say("crossings", "");
      atlas.timer = setTimeout(fillMap, 60);
    }
    drawMap();
    showCrossings();
  }

  const rowOrder = (K) => Array.from({ length: 19 }, (_, i) => i + 2).sort((a, b) => Math.abs(a - K) - Math.abs(b - K));

  function fillMap() {
    const until = performance.now() + 10;
    let complete = false;
    while (performance.now() < until && atlas.order.length) {
      const K = atlas.order[0], row = atlas.rows[K - 2] || (atlas.rows[K - 2] = []);
      row.push(UFM.lowest(UFM.problem({ ...state, K, lam: LAMS[row.length] })).name);
      if (row.length === LAMS.length) complete = Boolean(atlas.order.shift()) || complete;
    }
    if (complete) drawMap();
    if (complete) showCrossings();
    atlas.timer = atlas.order.length ? setTimeout(fillMap, 0) : 0;
  }

  function drawMap() {
    const full = atlas.rows.map((row) => (row && row.length === LAMS.length ? row : undefined)), { P, winner } = now;
    const seen = [...new Set(full.flatMap((row) => row || []).map((name) => name.split("(")[0]))];
    say("map", Draw.map(width("map"), full, LAMS, P, `Map of winners. The cursor is at K = ${P.K}, lambda = ${Draw.number(P.lam)}, where ${winner.name} wins.`));
    say("map-legend", seen.map((name) => Draw.tag(name, name)).join(""));
  }

  function showCrossings() {
    const { K } = state, row = atlas.rows[K - 2];
    if (mistake || !row || row.length < LAMS.length) return say("crossings", "");
    if (!atlas.crossings.has(K)) {
      atlas.crossings.set(K, "");
      const key = atlas.key, places = row.map((name, i) => (i && name !== row[i - 1] ? i : 0)).filter(Boolean).slice(0, 6), found = [];
      const next = () => {
        if (key !== atlas.key) return;
        if (places.length) {
          const i = places.shift();
          found.push(UFM.crossing({ ...modelOf(state), K }, LAMS[i - 1], LAMS[i]));
          setTimeout(next, 0);
        } else {
          const parts = found.map((c) => `${Draw.tag(c.below, c.below.split("(")[0])} up to λ = ${Draw.number(c.lam, 5)}`), last = row[row.length - 1];
          atlas.crossings.set(K, `At K = ${K}: ${[...parts, `${Draw.tag(last, last.split("(")[0])} up to λ = 1`].join(", then ")}.`);
          showCrossings();
        }
      };
      setTimeout(next, 0);
    }
    say("crossings", atlas.crossings.get(K));
  }

  function clickMap(event) {
    const at = $("map").querySelector("svg").getBoundingClientRect(), box = Draw.mapBox(width("map")), f = width("map") / at.width;
    const x = ((event.clientX - at.left) * f - box.left) / (box.right - box.left), K = 2 + Math.floor((box.bottom - (event.clientY - at.top) * f) / Draw.HEIGHT);
    if (x >= 0 && x <= 1 && K >= 2 && K <= 20) set({ K, lam: Number((10 ** (-6 + 6 * x)).toPrecision(4)), shown: "" });
  }

  function keysOnMap(event) {
    const move = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (!move) return;
    event.preventDefault();
    set({ K: Math.min(20, Math.max(2, state.K + move[0])), lam: within(Number((state.lam * 10 ** (0.05 * move[1])).toPrecision(4))) });
  }

  // ---- Rotation
  function turn(right, up) {
    view.azimuth += right;
    view.elevation = Math.min(1.5, Math.max(-1.5, view.elevation + up));
    showCode();
  }

  function dragCode(down) {
    let [x, y] = [down.clientX, down.clientY];
    const move = (event) => {
      turn(0.012 * (event.clientX - x), 0.012 * (event.clientY - y));
      [x, y] = [event.clientX, event.clientY];
    };
    const end = () => ["pointermove", "pointerup", "pointercancel"].forEach((name) => window.removeEventListener(name, name === "pointermove" ? move : end));
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  }

  function keysOnCode(event) {
    const by = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
    if (!by) return;
    event.preventDefault();
    turn(...by);
  }

  // ---- Descent
  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const tally = new Map();

  function stop(clear) {
    if (run) run.stopped = true;
    run = null;
    $("run").textContent = "Run gradient descent";
    $("ten").disabled = false;
    if (!clear) return;
    tally.clear();
    ["descent-loss", "descent-heat", "descent-s", "tally"].forEach((id) => say(id, ""));
    say("descent-text", "All factors start from small random numbers. One column per class; the samples enter through λ n<sup>1/(L+1)</sup>.");
  }

  function start(many = 1) {
    if (run) return stop(false);
    const P = UFM.problem(state);
    const mine = { P, left: many, quiet: many > 1 || calm(), stopped: false };
    run = mine;
    $("run").textContent = "Stop";
    $("ten").disabled = true;
    begin(mine);
  }

  function begin(mine) {
    const seed = Math.max(1, Math.round(Number($("seed").value)) || 1);
    Object.assign(mine, { gd: UFM.descent(mine.P, seed), steps: [], losses: [], values: [] });
    record(mine);
    tick(mine);
  }

  function record(mine) {
    mine.steps.push(mine.gd.steps);
    mine.losses.push(mine.gd.fun);
    mine.values.push(UFM.svd(UFM.asRows(mine.gd.Z)).s.map((s) => s * Math.sqrt(mine.P.n)));
  }

  function tick(mine) {
    if (mine.stopped) return;
    const until = performance.now() + (mine.quiet ? 25 : 12), frame = mine.gd.steps + 1 + mine.gd.steps / 40;
    do {
      UFM.advance(mine.gd, 1);
      if (mine.quiet && mine.gd.steps % 5 === 0) record(mine);
    } while (!mine.gd.done && performance.now() < until && (mine.quiet || mine.gd.steps < frame));
    if (!mine.quiet || mine.gd.done) record(mine);
    if (!mine.quiet || mine.gd.done) drawRun(mine);
    if (mine.gd.done) return finish(mine);
    if (!mine.quiet) say("descent-text", `Step ${mine.gd.steps}, F = ${Draw.number(mine.gd.fun, 6)}`);
    if (mine.quiet) setTimeout(() => tick(mine), 0);
    else requestAnimationFrame(() => tick(mine));
  }

  function finish(mine) {
    const { gd, P } = mine, end = UFM.identify(P, UFM.asRows(gd.Z), gd.fun), above = gd.fun - now.winner.fun;
    const beside = above > 1e-7 * (1 + gd.fun) ? `, ${Draw.number(above, 3)} above ${Draw.tag(now.winner.name, now.winner.family)}` : above < -1e-7 ? `, <b>below</b> every structure listed` : ", the lowest here";
    mine.end = end;
    say("descent-text", `Start ${gd.seed} ended in ${Draw.tag(end.name, end.family)} (rank ${end.rank}) after ${gd.steps} steps: F = ${Draw.number(gd.fun, 6)}${beside}.`);
    tally.set(end.name, [(tally.get(end.name) || [0])[0] + 1, end.family]);
    say("tally", `Ends so far: ${[...tally].map(([name, [count, family]]) => `${Draw.tag(name, family)} ${count}`).join(", ")}.`);
    drawRun(mine);
    $("seed").value = gd.seed + 1;
    mine.left -= 1;
    if (mine.left > 0) setTimeout(() => mine.stopped || begin(mine), 0);
    else stop(false);
  }

  function drawRun(mine) {
    const { P, gd, steps, losses, values, end } = mine, colour = end ? Draw.tint(end.family) : "var(--ink)";
    const levels = compared().map((s) => ({ y: s.fun, stroke: Draw.tint(s.family), name: s.name }));
    say("descent-loss", Draw.trace(width("descent-loss"), steps, [{ y: losses, stroke: colour }], "F; dashed: structures", `Loss over ${gd.steps} steps, now ${Draw.number(gd.fun)}.`, levels, true, low() ? 165 : 230));
    say("descent-heat", Draw.heat(Math.min(320, width("descent-heat")), UFM.asRows(gd.Z), "Logits of the run"));
    const series = values[0].map((_, i) => ({ y: values.map((v) => v[i]), stroke: colour }));
    say("descent-s", Draw.trace(width("descent-s"), steps, series, "singular values of the logits", `Singular values over ${gd.steps} steps.`, [], false, low() ? 165 : 230));
  }

  // ---- The real solver, when `ufm demo` serves the page
  let asking = null;
  async function better() {
    const mine = (asking = new AbortController());
    $("better").disabled = true;
    say("better-text", "The solver searches …");
    say("better-table", "");
    try {
      const asked = modelOf(state), answer = await fetch("api/compare", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked), signal: mine.signal });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      if (asking === mine) showFound(found, asked);
    } catch (problem) {
      if (asking === mine) say("better-text", `No answer: ${Draw.esc(problem.message)}`);
    }
    if (asking !== mine) return;
    asking = null;
    $("better").disabled = Boolean(mistake);
  }

  function showFound(found, asked) {
    const best = UFM.lowest(UFM.problem(asked)), row = found.structures.find((s) => s.name === found.winner), family = found.winner.split(/[(#]/)[0];
    const gain = best.fun - row.fun, lead = gain > 1e-9 * (1 + best.fun) ? `Found better: ${Draw.tag(found.winner, family)}, ${Draw.number(gain, 3)} below ${Draw.tag(best.name, best.family)}.` : `Nothing better than ${Draw.tag(best.name, best.family)} was found.`;
    say("better-text", `${lead} ${found.starts} random starts in ${Draw.number(found.seconds, 2)} s. <span class="hint">${Draw.esc(found.verdict)}</span>`);
    const rows = [...found.structures].sort((a, b) => a.fun - b.fun).slice(0, 8).map((s) => `<tr><td>${Draw.tag(s.name, s.name.split(/[(#]/)[0])}</td><td>${s.rank ?? "–"}</td><td>${s.fun.toFixed(12)}</td><td>${Draw.esc(s.status)}</td></tr>`);
    say("better-table", `<table><thead><tr><th scope="col">structure</th><th scope="col">rank</th><th scope="col">F</th><th scope="col">status</th></tr></thead><tbody>${rows.join("")}</tbody></table>`);
  }

  // Also what is being asked: the server ends a question when nobody waits for it.
  function forgetFound() {
    if (asking) asking.abort();
    asking = null;
    ["better-text", "better-table"].forEach((id) => say(id, ""));
  }

  // ---- Wiring
  function connect() {
    document.documentElement.style.setProperty("--dnc", COLOURS.dnc);
    $("solver").hidden = !SERVER;
    for (const key of Object.keys(LIMITS)) $(key).addEventListener("input", (event) => set({ [key]: Number(event.target.value) }));
    $("lam-log").addEventListener("input", (event) => set({ lam: Number((10 ** event.target.value).toPrecision(4)) }));
    ["input", "change"].forEach((kind) => $("lam").addEventListener(kind, readLam));
    for (const radio of document.getElementsByName("loss")) radio.addEventListener("change", () => set({ loss: radio.value }));
    $("controls").addEventListener("submit", (event) => event.preventDefault());
    $("bars").addEventListener("click", (event) => {
      const bar = event.target.closest("button");
      if (bar) set({ shown: bar.dataset.name === now.winner.name ? "" : bar.dataset.name });
    });
    $("map").addEventListener("click", clickMap);
    $("map").addEventListener("keydown", keysOnMap);
    $("code").addEventListener("pointerdown", dragCode);
    $("code").addEventListener("keydown", keysOnCode);
    $("run").addEventListener("click", () => start());
    $("ten").addEventListener("click", () => start(10));
    $("better").addEventListener("click", better);
    $("theme").addEventListener("click", () => set({ theme: { "": "light", light: "dark", dark: "" }[state.theme] }));
    window.addEventListener("resize", () => {
      measure();
      set({});
    });
    window.addEventListener("hashchange", () => set(read(location.hash)));
  }

  function open() {
    Object.assign(state, read(location.hash));
    connect();
    Tour.connect();
    measure();
    render();
  }

  return { $, state, set, open, timing, say, measure, onRender: (tell) => listeners.push(tell), get now() { return now; } };
})();

const Tour = (() => {
  const { $, state, set, say } = Page;
  let drawn = null;

  function go(step) {
    const to = Math.min(TOUR.length, Math.max(0, step));
    set(to ? { step: to, ...TOUR[to - 1].set } : { step: 0 });
  }

  function show() {
    const { step } = state, stop = TOUR[step - 1];
    $("tour").hidden = !step;
    $("tour-toggle").setAttribute("aria-expanded", String(Boolean(step)));
    if (step === drawn) return;
    const moved = drawn !== null;
    drawn = step;
    document.body.classList.toggle("touring", Boolean(stop));
    for (const card of document.querySelectorAll(".card")) card.classList.toggle("lit", Boolean(stop) && stop.lit.includes(card.id.replace("card-", "")));
    for (const row of document.querySelectorAll("[data-of]")) row.classList.toggle("asked", Boolean(stop) && stop.asks.includes(row.dataset.of));
    if (stop) tell(step, stop);
    Page.measure();
    if (moved) window.scrollTo(0, 0);
    if (moved) $(stop ? "tour" : "tour-toggle").focus({ preventScroll: true });
  }

  function tell(step, stop) {
    say("tour-count", `Step ${step} of ${TOUR.length}`);
    say("tour-title", stop.title);
    say("tour-text", stop.text);
    say("tour-question", stop.question);
    say("tour-answer", typeof stop.answer === "string" ? stop.answer : stop.answer(UFM));
    $("tour-reveal").open = false;
    $("tour-back").disabled = step === 1;
    $("tour-next").textContent = step === TOUR.length ? "Finish" : "Next";
  }

  function connect() {
    Page.onRender(show);
    $("tour-toggle").addEventListener("click", () => go(state.step ? 0 : 1));
    $("tour-next").addEventListener("click", () => go(state.step === TOUR.length ? 0 : state.step + 1));
    $("tour-back").addEventListener("click", () => go(Math.max(1, state.step - 1)));
    $("tour-reset").addEventListener("click", () => set({ ...TOUR[state.step - 1].set }));
    $("tour-close").addEventListener("click", () => go(0));
    $("tour").addEventListener("keydown", (event) => {
      const by = { PageDown: 1, ArrowRight: 1, PageUp: -1, ArrowLeft: -1 }[event.key];
      if (!by || !state.step) return;
      event.preventDefault();
      if (state.step + by >= 1 && state.step + by <= TOUR.length) go(state.step + by);
    });
  }

  return { connect, go };
})();

window.UFM_PAGE = Page;
Page.open();

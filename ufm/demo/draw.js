"use strict";
// Pictures as SVG text. Every one carries its own description; numbers that are not finite are left out of it.
const Draw = (() => {
  const esc = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const tint = (family) => (family === "unnamed" || !COLOURS[family] ? "var(--unnamed)" : COLOURS[family]);
  // Ink that is read on a structure's colour.
  function onTint(family) {
    const hex = COLOURS[family] || COLOURS.unnamed, [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return family === "unnamed" ? "var(--card)" : 0.3 * r + 0.59 * g + 0.11 * b > 125 ? "#111" : "#fff";
  }

  // blocks(4,2,2,2) as blocks(4,2³)
  const raised = (count) => [...String(count)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]).join("");
  const short = (name) => name.replace(/\b(\d+)(,\1\b){2,}/g, (run, k) => k + raised(run.split(",").length));
  const tag = (name, family) => `<span class="tag" style="--c:${tint(family)}">${esc(short(name))}</span>`;

  function number(x, digits = 4) {
    if (x === null || !Number.isFinite(x)) return "–";
    if (x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5)) return x.toExponential(digits - 2).replace(/\.?0+e/, "e").replace(/e([+-])/, (_, s) => ` × 10${s === "-" ? "⁻" : ""}`).replace(/(10⁻?)(\d+)$/, (_, ten, e) => ten + raised(e));
    return String(Number(x.toPrecision(digits)));
  }

  // A number as the command line reads it: 0.005, 1e-3, 2**-10 (or 2^-10), 5**(1/3); no number for anything else.
  function readNumber(words) {
    const said = String(words).replace(/−/g, "-").replace(/\^/g, "**"), tokens = said.match(/(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|\*\*|[-+*/()]/gi) || [];
    let at = 0;
    const take = (...signs) => (signs.includes(tokens[at]) ? tokens[at++] : "");
    const fold = (part, rules) => () => {
      let x = part();
      for (let s = take(...Object.keys(rules)); s; s = take(...Object.keys(rules))) x = rules[s](x, part());
      return x;
    };
    const atom = () => {
      if (!take("(")) return /^[\d.]/.test(tokens[at]) ? Number(tokens[at++]) : undefined;
      const x = sum();
      return take(")") ? x : undefined;
    };
    const power = (x = atom()) => (take("**") ? x ** signed() : x);
    const signed = () => (take("-") ? -signed() : take("+") ? signed() : power());
    const product = fold(signed, { "*": (x, y) => x * y, "/": (x, y) => x / y }), sum = fold(product, { "+": (x, y) => x + y, "-": (x, y) => x - y });
    const value = tokens.length && tokens.join("") === said.replace(/\s/g, "") ? sum() : undefined;
    return at === tokens.length ? value : undefined;
  }

  const finite = (...xs) => xs.every(Number.isFinite);
  const svg = (w, h, label, body) => `<svg viewBox="0 0 ${w} ${h}" role="img" aria-label="${esc(label)}">${body}</svg>`;
  const line = (x1, y1, x2, y2, cls) => (finite(x1, y1, x2, y2) ? `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" class="${cls}"/>` : "");
  const text = (x, y, s, anchor = "middle", cls = "", more = "") => (finite(x, y) ? `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" class="${cls}" ${more}>${s}</text>` : "");
  const dot = (x, y, r, fill, more = "") => (finite(x, y) ? `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${r}" fill="${fill}" ${more}/>` : "");
  const rect = (x, y, w, h, fill, more = "") => (finite(x, y, w, h) ? `<rect x="${x.toFixed(2)}" y="${y.toFixed(2)}" width="${Math.max(0, w).toFixed(2)}" height="${Math.max(0, h).toFixed(2)}" fill="${fill}" ${more}/>` : "");
  function path(points, stroke, width = 2.2, more = "") {
    const places = points.filter(([x, y]) => finite(x, y)).map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`);
    return places.length ? `<path d="M${places.join("L")}" fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linejoin="round" ${more}/>` : "";
  }

  // ---- Ranges
  const HUGE = 1e300; // beyond it differences overflow
  const some = (values) => values.filter((v) => Math.abs(v) < HUGE);
  const least = (values, start) => some(values).reduce((a, b) => Math.min(a, b), start);
  const most = (values, start) => some(values).reduce((a, b) => Math.max(a, b), start);

  // [low, high] as an axis shows it: finite, and never thinner than a thousandth of its numbers, where labels and rounding would run together.
  function span(low, high) {
    const [a, b] = some([low, high]).length === 2 ? [Math.min(low, high), Math.max(low, high)] : [0, 1];
    const thin = 5e-4 * Math.max(-a, b), middle = 0.5 * (a + b);
    if (b - a > 2 * thin && b - a > 1 / HUGE) return [a, b];
    return thin > 1 / HUGE ? [middle - thin, middle + thin] : [0, 1];
  }

  function ticks(low, high, count = 5) {
    const [a, b] = span(low, high), raw = (b - a) / count, ten = 10 ** Math.floor(Math.log10(raw)), step = ten * ([1, 2, 5].find((f) => f * ten >= raw) || 10), found = [];
    for (let i = Math.ceil(a / step - 1e-9); i * step <= b + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(6)));
    return found;
  }

  // Axes: {X, Y, box, body} for data in [x0, x1] x [y0, y1].
  function frame(w, h, xs, ys, xlabel, ylabel, { left = 46, xticks = null, yticks = null } = {}) {
    const [x0, x1] = span(...xs), [y0, y1] = span(...ys), box = { left, right: w - 10, top: 22, bottom: h - 40 };
    const X = (x) => box.left + ((x - x0) / (x1 - x0)) * (box.right - box.left), Y = (y) => box.bottom - ((y - y0) / (y1 - y0)) * (box.bottom - box.top);
    const digits = (a, b) => (b - a < 0.05 * Math.max(-a, b) ? 5 : 4), named = (a, b, count) => ticks(a, b, count).map((t) => [t, number(t, digits(a, b))]);
    let body = line(box.left, box.bottom, box.right, box.bottom, "axis");
    for (const [t, s] of xticks || named(x0, x1, w < 330 ? 4 : 5)) body += line(X(t), box.bottom, X(t), box.bottom + 4, "axis") + text(X(t), box.bottom + 17, s, "middle", "soft");
    for (const [t, s] of yticks || named(y0, y1, 4)) body += line(box.left, Y(t), box.right, Y(t), "gridline") + text(box.left - 6, Y(t) + 4, s, "end", "soft");
    body += text((box.left + box.right) / 2, h - 4, xlabel, "middle", "soft") + text(2, 13, ylabel, "start", "soft");
    return { X, Y, box, body };
  }

  // Curves F along rays against the singular value of one factor, t^(1/D): there the price is a parabola and zero a smooth minimum.
  function rays(w, P, items, top, h = 250) {
    const reach = most(items.map((s) => s.t), 1) ** (1 / P.D) * 1.16, xs = Array.from({ length: 121 }, (_, i) => (i / 120) * reach);
    const curves = items.map((st) => ({ st, ys: UFM.ray(P, st, xs.map((x) => x ** P.D)) }));
    const low = least(curves.flatMap((c) => c.ys), top), depth = Math.max(top - low, 0.05 * top) || 1, roof = Math.max(top + 0.14 * depth, most(items.map((s) => s.fun), top) + 0.05 * depth);
    const { X, Y, body } = frame(w, h, [0, reach], [Math.max(0, low - 0.08 * depth), roof], "size of one factor, t<tspan dy='-4' font-size='10'>1/(L+1)</tspan>", "F");
    const mark = (t, F, r, fill, more) => (F <= roof ? dot(X(t ** (1 / P.D)), Y(F), r, fill, more) : "");
    let inside = "";
    for (const { st, ys } of curves) {
      const seen = xs.map((x, i) => [X(x), Y(Math.min(ys[i], roof))]);
      inside += path(seen, tint(st.family), 2.4);
      if (st.barrier) inside += mark(st.barrier, UFM.ray(P, st, [st.barrier])[0], 5.5, "var(--card)", `stroke="${tint(st.family)}" stroke-width="2.4"`);
      inside += mark(st.t, st.fun, 6, tint(st.family), 'class="edge"');
    }
    const words = curves.map(({ st }) => `${st.name}: minimum ${number(st.fun)} at scale ${number(st.t)}${st.barrier ? `, barrier at scale ${number(st.barrier)}` : ""}`);
    const legend = curves.length ? "" : text(w / 2, h / 2, "Only zero is left here.", "middle");
    return svg(w, h, `F along each structure, which is ${number(top)} at zero. ${words.join("; ")}.`, body + inside + legend);
  }

  function heat(w, Z, label) {
    const K = Z.length, size = Math.min(w, 330), cell = size / K, top = most(Z.flat().map(Math.abs), 1e-12);
    let body = rect(0, 0, size, size, "none", 'stroke="var(--line)"');
    const gap = cell > 8 ? 0.6 : 0;
    Z.forEach((row, i) => row.forEach((v, j) => {
      const strength = Math.min(1, Math.abs(v) / top);
      if (!finite(v)) return;
      if (strength > 0.01) body += rect(j * cell + gap, i * cell + gap, cell - 2 * gap, cell - 2 * gap, v > 0 ? "var(--plus)" : "var(--minus)", `fill-opacity="${strength.toFixed(3)}"`);
      if (cell > 43) body += text((j + 0.5) * cell, (i + 0.5) * cell + 5, Math.abs(v) < 5e-3 * top ? "0" : top < 1e3 ? v.toFixed(top < 10 ? 2 : 1).replace("-", "−") : number(v, 2), "middle", strength > 0.45 ? "strong" : "");
    }));
    return svg(size, size, `${label}: ${K} by ${K} logits, from ${number(least(Z.flat(), Infinity))} to ${number(most(Z.flat(), -Infinity))}.`, body);
  }

  function spectrum(w, K, items) {
    const high = most(items.flatMap((i) => i.s), 1e-9), h = 220;
    const xticks = (K <= 10 ? Array.from({ length: K }, (_, i) => i + 1) : [1, 5, 10, 15, 20].filter((i) => i <= K)).map((i) => [i, i]);
    const { X, Y, box, body } = frame(w, h, [0.4, K + 0.6], [0, high * 1.08], "number", "s", { xticks });
    const slot = (box.right - box.left) / (K + 0.2), each = (0.8 * slot) / Math.max(1, items.length);
    let bars = "";
    items.forEach(({ family, s }, i) => s.forEach((v, j) => (bars += rect(X(j + 1) - 0.4 * slot + i * each, Y(v), each * 0.92, Y(0) - Y(v), tint(family)))));
    const words = items.map(({ name, s }) => `${name}: rank ${s.length}${s.length ? `, largest ${number(s[0])}, smallest ${number(s[s.length - 1])}` : ""}`);
    return svg(w, h, `Singular values. ${words.join("; ")}.`, body + bars);
  }

  function price(w, P, items) {
    const high = most(items.flatMap((i) => i.s), 1) * 1.12, phi = (s) => 0.5 * P.D * P.lam * s ** P.p, h = 220;
    const { X, Y, body } = frame(w, h, [0, high], [0, phi(high) * 1.08], "singular value s", "price", { left: 58 });
    const curve = Array.from({ length: 101 }, (_, i) => (i / 100) ** 2 * high).map((s) => [X(s), Y(phi(s))]);
    let dots = "", words = [];
    for (const { name, family, s } of items) {
      const groups = [...new Set(s.map((v) => v.toPrecision(8)))];
      for (const g of groups) {
        const count = s.filter((v) => v.toPrecision(8) === g).length, v = Number(g);
        dots += dot(X(v), Y(phi(v)), 6.5, tint(family), 'class="edge"') + text(X(v), Y(phi(v)) + (family === "dnc" ? 24 : -11), `${count} ×`, X(v) > w - 40 ? "end" : "middle");
      }
      words.push(`${name} pays ${number(s.reduce((t, v) => t + phi(v), 0))} for ${s.length}`);
    }
    return svg(w, h, `Price of one singular value, a power ${number(P.p)} of it. ${words.join("; ")}.`, body + path(curve, "var(--ink)", 2) + dots);
  }

  // points (K x 2 or 3), seen from azimuth and elevation.
  function code(w, { points, near }, { azimuth, elevation }, family, label) {
    const size = Math.min(w, 330), flat = points[0].length < 3, [ca, sa, ce, se] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
    const seen = points.map(([x, y = 0, z = 0]) => {
      const u = ca * x + sa * y, v = -sa * x + ca * y;
      return flat ? [u, v, 0] : [u, ce * v + se * z, ce * z - se * v];
    });
    const reach = most(points.map((x) => Math.hypot(...x)), 1e-9) * 1.22, at = ([u, v]) => [size / 2 + (u / reach) * (size / 2), size / 2 - (v / reach) * (size / 2)];
    const depth = (z) => 0.45 + 0.55 * (0.5 + (0.5 * z) / reach);
    let edges = "", marks = "", labels = "";
    for (const [i, j] of near) edges += path([at(seen[i]), at(seen[j])], tint(family), near.length > 40 ? 1 : 1.8, `stroke-opacity="${((near.length > 40 ? 0.45 : 0.8) * depth((seen[i][2] + seen[j][2]) / 2)).toFixed(2)}"`);
    const same = new Map();
    seen.map((p, i) => [p, i]).filter(([p]) => finite(...p)).sort((a, b) => a[0][2] - b[0][2]).forEach(([p, i]) => {
      const [x, y] = at(p), key = `${Math.round(x / 6)} ${Math.round(y / 6)}`;
      edges += path([[size / 2, size / 2], [x, y]], "var(--line)", 1);
      marks += dot(x, y, (6.5 + 5 * depth(p[2])).toFixed(1), tint(family), 'class="edge"') + text(x, y + 4, i + 1, "middle", "inside", `style="fill:${onTint(family)}"`);
      same.set(key, [...(same.get(key) || []), [i, x, y, p]]);
    });
    for (const group of [...same.values()].filter((g) => g.length > 1)) {
      const [, x, y, [u, v]] = group[0], r = Math.hypot(u, v) || 1, far = r > 0.05 * reach ? 17 : 0, names = group.map(([i]) => i + 1).sort((a, b) => a - b);
      labels += text(x + (far * u) / r, y - (far * v) / r + 5 - (far ? 0 : 16), names.length > 3 ? `${names.length} classes` : names.join(","));
    }
    return svg(size, size, label, edges + marks + labels);
  }

  const HEIGHT = 15;
  function mapBox(w) {
    return { left: 30, right: w - 8, top: 6, bottom: 6 + 19 * HEIGHT };
  }

  // rows[K - 2] = names of the winners along lams, or undefined while it is computed.
  function map(w, rows, lams, P, label) {
    const box = mapBox(w), cell = (box.right - box.left) / lams.length, h = box.bottom + 40, Y = (K) => box.bottom - (K - 1) * HEIGHT;
    let body = "";
    rows.forEach((row, i) => {
      for (let j = 0, k = 0; row && j < row.length; j = k) {
        for (k = j; k < row.length && row[k] === row[j]; k++);
        body += rect(box.left + j * cell, Y(i + 2), (k - j) * cell + 0.3, HEIGHT + 0.3, tint(String(row[j]).split("(")[0]));
      }
    });
    for (const K of [2, 5, 10, 15, 20]) body += text(box.left - 6, Y(K) + 12, K, "end", "soft");
    for (let e = -6; e <= 0; e += w < 330 ? 2 : 1) body += text(box.left + ((e + 6) / 6) * (box.right - box.left), box.bottom + 17, e ? `10<tspan dy="-4" font-size="10">${String(e).replace("-", "−")}</tspan>` : "1", e ? "middle" : "end", "soft");
    body += text((box.left + box.right) / 2, h - 4, "ridge weight λ", "middle", "soft");
    const x = box.left + ((Math.log10(P.lam) + 6) / 6) * (box.right - box.left), y = Y(P.K) + HEIGHT / 2;
    const cross = `<path d="M${x.toFixed(1)} ${box.top}V${box.bottom}M${box.left} ${y.toFixed(1)}H${box.right}" `;
    if (finite(x, y)) body += `${cross}class="halo" opacity=".35" style="stroke-width:3"/>${cross}class="cursor" style="stroke-width:1"/><circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="7" class="halo"/><circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="7" class="cursor"/>`;
    return svg(w, h, label, body);
  }

  function gauge(w, { threshold, scale }) {
    const here = finite(scale), high = 1.6 * most([threshold, scale], 1), X = (v) => 8 + (v / high) * (w - 16), y = 34;
    let body = rect(X(0), y, X(threshold) - X(0), 14, "var(--plus)", 'fill-opacity=".35"') + rect(X(threshold), y, X(high) - X(threshold), 14, COLOURS.dnc, 'fill-opacity=".5"');
    body += line(X(threshold), y - 6, X(threshold), y + 20, "axis") + text(Math.min(X(threshold), w - 60), y + 34, `K(L−1)/(L+1) = ${number(threshold, 3)}`, X(threshold) < 80 ? "start" : "middle", "soft");
    if (here) body += dot(X(scale), y + 7, 7, COLOURS.dnc, 'class="edge"') + text(Math.min(Math.max(X(scale), 40), w - 40), y - 10, `a = ${number(scale, 3)}`);
    return svg(w, 74, !here ? "Collapse does not exist here." : `Scale of collapse ${number(scale)}, threshold of stability ${number(threshold)}.`, body);
  }

  // Ticks of an axis of log10: [place, label], whole decades where there are many, round numbers where there are few.
  function decades(...ends) {
    const [low, high] = span(...ends), stride = Math.max(1, Math.ceil((high - low) / 5)), factors = high - low < 2 ? [1, 2, 5] : [1], found = [];
    for (let e = stride * Math.floor(low / stride); e <= high; e += stride) for (const f of factors) found.push([Math.log10(f) + e, f * 10 ** e]);
    const inside = found.filter(([place]) => place >= low && place <= high);
    return (inside.length > 1 ? inside : ticks(10 ** low, 10 ** high, 4).map((v) => [Math.log10(v), v])).map(([place, v]) => [place, number(v)]);
  }

  // series: [{y: [...], stroke}] over steps.
  function trace(w, steps, series, ylabel, label, levels = [], logarithmic = false, h = 230) {
    const values = series.flatMap((s) => s.y).concat(levels.map((l) => l.y)), high = most(values, 1e-3), last = most(steps, 10);
    const range = logarithmic ? [Math.log10(least(values.filter((v) => v > 0), high)) - 0.05, Math.log10(high) + 0.05] : [0, high * 1.06];
    const { X, Y: at, body } = frame(w, h, [0, last], range, "step", ylabel, { yticks: logarithmic ? decades(...range) : null, xticks: ticks(0, last, 3).map((t) => [t, t]) });
    const Y = logarithmic ? (y) => at(Math.log10(y)) : at;
    const marks = levels.map(({ y, stroke, name }) => path([[X(0), Y(y)], [w - 10, Y(y)]], stroke, 1.4, 'stroke-dasharray="5 4"')).join("");
    return svg(w, h, label, body + marks + series.map((s) => path(steps.map((t, i) => [X(t), Y(s.y[i])]), s.stroke, 2)).join(""));
  }

  return { esc, tint, short, tag, number, readNumber, rays, heat, spectrum, price, code, map, mapBox, HEIGHT, gauge, trace };
})();

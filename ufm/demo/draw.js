"use strict";
// Pictures as SVG text. Every one carries its own description.
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

  const svg = (w, h, label, body) => `<svg viewBox="0 0 ${w} ${h}" role="img" aria-label="${esc(label)}">${body}</svg>`;
  const line = (x1, y1, x2, y2, cls) => `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" class="${cls}"/>`;
  const text = (x, y, s, anchor = "middle", cls = "") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" class="${cls}">${s}</text>`;
  const path = (points, stroke, width = 2.2, more = "") => `<path d="M${points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}" fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linejoin="round" ${more}/>`;
  const dot = (x, y, r, fill, more = "") => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${r}" fill="${fill}" ${more}/>`;
  const rect = (x, y, w, h, fill, more = "") => `<rect x="${x.toFixed(2)}" y="${y.toFixed(2)}" width="${Math.max(0, w).toFixed(2)}" height="${Math.max(0, h).toFixed(2)}" fill="${fill}" ${more}/>`;

  function ticks(low, high, most = 5) {
    const raw = (high - low) / most || 1, ten = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((f) => f * ten).find((s) => s >= raw), found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(6)));
    return found;
  }

  // Axes: {X, Y, body} for data in [x0, x1] x [y0, y1].
  function frame(w, h, [x0, x1], [y0, y1], xlabel, ylabel, { left = 46, xticks = null, yticks = null } = {}) {
    const box = { left, right: w - 10, top: 22, bottom: h - 40 };
    const X = (x) => box.left + ((x - x0) / (x1 - x0 || 1)) * (box.right - box.left), Y = (y) => box.bottom - ((y - y0) / (y1 - y0 || 1)) * (box.bottom - box.top);
    let body = line(box.left, box.bottom, box.right, box.bottom, "axis");
    for (const [t, s] of xticks || ticks(x0, x1, w < 330 ? 4 : 5).map((t) => [t, number(t)])) body += line(X(t), box.bottom, X(t), box.bottom + 4, "axis") + text(X(t), box.bottom + 17, s, "middle", "soft");
    for (const [t, s] of yticks || ticks(y0, y1, 4).map((t) => [t, number(t)])) body += line(box.left, Y(t), box.right, Y(t), "gridline") + text(box.left - 6, Y(t) + 4, s, "end", "soft");
    body += text((box.left + box.right) / 2, h - 4, xlabel, "middle", "soft") + text(2, 13, ylabel, "start", "soft");
    return { X, Y, box, body };
  }

  // Curves F along rays against the singular value of one factor, t^(1/D): there the price is a parabola and zero a smooth minimum.
  function rays(w, P, items, top) {
    const reach = Math.max(1, ...items.map((s) => s.t)) ** (1 / P.D) * 1.16, xs = Array.from({ length: 121 }, (_, i) => (i / 120) * reach);
    const curves = items.map((st) => ({ st, ys: UFM.ray(P, st, xs.map((x) => x ** P.D)) }));
    const low = Math.min(top, ...curves.flatMap((c) => c.ys)), roof = top + 0.14 * (top - low || 1), h = 250;
    const { X, Y, body } = frame(w, h, [0, reach], [Math.max(0, low - 0.08 * (top - low)), roof], "size of one factor, t<tspan dy='-4' font-size='10'>1/(L+1)</tspan>", "F");
    let inside = "";
    for (const { st, ys } of curves) {
      const seen = xs.map((x, i) => [X(x), Y(Math.min(ys[i], roof))]);
      inside += path(seen, tint(st.family), 2.4);
      if (st.barrier) inside += dot(X(st.barrier ** (1 / P.D)), Y(UFM.ray(P, st, [st.barrier])[0]), 5.5, "var(--card)", `stroke="${tint(st.family)}" stroke-width="2.4"`);
      inside += dot(X(st.t ** (1 / P.D)), Y(st.fun), 6, tint(st.family), 'class="edge"');
    }
    const words = curves.map(({ st }) => `${st.name}: minimum ${number(st.fun)} at scale ${number(st.t)}${st.barrier ? `, barrier at scale ${number(st.barrier)}` : ""}`);
    const legend = curves.length ? "" : text(w / 2, h / 2, "Only zero is left here.", "middle");
    return svg(w, h, `F along each structure, which is ${number(top)} at zero. ${words.join("; ")}.`, body + inside + legend);
  }

  function heat(w, Z, label) {
    const K = Z.length, size = Math.min(w, 330), cell = size / K, most = Math.max(1e-12, ...Z.flat().map(Math.abs));
    let body = rect(0, 0, size, size, "none", 'stroke="var(--line)"');
    const gap = cell > 8 ? 0.6 : 0;
    Z.forEach((row, i) => row.forEach((v, j) => {
      const strength = Math.abs(v) / most;
      if (strength > 0.01) body += rect(j * cell + gap, i * cell + gap, cell - 2 * gap, cell - 2 * gap, v > 0 ? "var(--plus)" : "var(--minus)", `fill-opacity="${strength.toFixed(3)}"`);
      if (cell > 43) body += text((j + 0.5) * cell, (i + 0.5) * cell + 5, Math.abs(v) < 5e-3 * most ? "0" : v.toFixed(most < 10 ? 2 : 1).replace("-", "−"), "middle", strength > 0.45 ? "strong" : "");
    }));
    return svg(size, size, `${label}: ${K} by ${K} logits, from ${number(Math.min(...Z.flat()))} to ${number(Math.max(...Z.flat()))}.`, body);
  }

  function spectrum(w, K, items) {
    const high = Math.max(1e-9, ...items.flatMap((i) => i.s)), h = 220;
    const xticks = (K <= 10 ? Array.from({ length: K }, (_, i) => i + 1) : [1, 5, 10, 15, 20].filter((i) => i <= K)).map((i) => [i, i]);
    const { X, Y, box, body } = frame(w, h, [0.4, K + 0.6], [0, high * 1.08], "number", "s", { xticks });
    const slot = (box.right - box.left) / (K + 0.2), each = (0.8 * slot) / Math.max(1, items.length);
    let bars = "";
    items.forEach(({ family, s }, i) => s.forEach((v, j) => (bars += rect(X(j + 1) - 0.4 * slot + i * each, Y(v), each * 0.92, Y(0) - Y(v), tint(family)))));
    const words = items.map(({ name, s }) => `${name}: rank ${s.length}${s.length ? `, largest ${number(s[0])}, smallest ${number(s[s.length - 1])}` : ""}`);
    return svg(w, h, `Singular values. ${words.join("; ")}.`, body + bars);
  }

  function price(w, P, items) {
    const high = Math.max(1, ...items.flatMap((i) => i.s)) * 1.12, phi = (s) => 0.5 * P.D * P.lam * s ** P.p, h = 220;
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
    const size = Math.min(w, 330), flat = points[0].length === 2, [ca, sa, ce, se] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
    const seen = points.map(([x, y, z = 0]) => {
      const u = ca * x + sa * y, v = -sa * x + ca * y;
      return flat ? [u, v, 0] : [u, ce * v + se * z, ce * z - se * v];
    });
    const reach = Math.max(1e-9, ...points.map((x) => Math.hypot(...x))) * 1.22, at = ([u, v]) => [size / 2 + (u / reach) * (size / 2), size / 2 - (v / reach) * (size / 2)];
    const depth = (z) => 0.45 + 0.55 * (0.5 + (0.5 * z) / reach);
    let edges = "", marks = "", labels = "";
    for (const [i, j] of near) edges += path([at(seen[i]), at(seen[j])], tint(family), near.length > 40 ? 1 : 1.8, `stroke-opacity="${((near.length > 40 ? 0.45 : 0.8) * depth((seen[i][2] + seen[j][2]) / 2)).toFixed(2)}"`);
    const same = new Map();
    seen.map((p, i) => [p, i]).sort((a, b) => a[0][2] - b[0][2]).forEach(([p, i]) => {
      const [x, y] = at(p), key = `${Math.round(x / 6)} ${Math.round(y / 6)}`;
      edges += path([[size / 2, size / 2], [x, y]], "var(--line)", 1);
      marks += dot(x, y, (6.5 + 5 * depth(p[2])).toFixed(1), tint(family), 'class="edge"') + `<text x="${x.toFixed(1)}" y="${(y + 4).toFixed(1)}" text-anchor="middle" class="inside" style="fill:${onTint(family)}">${i + 1}</text>`;
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
        body += rect(box.left + j * cell, Y(i + 2), (k - j) * cell + 0.3, HEIGHT + 0.3, tint(row[j].split("(")[0]));
      }
    });
    for (const K of [2, 5, 10, 15, 20]) body += text(box.left - 6, Y(K) + 12, K, "end", "soft");
    for (let e = -6; e <= 0; e += w < 330 ? 2 : 1) body += text(box.left + ((e + 6) / 6) * (box.right - box.left), box.bottom + 17, e ? `10<tspan dy="-4" font-size="10">${String(e).replace("-", "−")}</tspan>` : "1", e ? "middle" : "end", "soft");
    body += text((box.left + box.right) / 2, h - 4, "ridge weight λ", "middle", "soft");
    const x = box.left + ((Math.log10(P.lam) + 6) / 6) * (box.right - box.left), y = Y(P.K) + HEIGHT / 2;
    const cross = `<path d="M${x.toFixed(1)} ${box.top}V${box.bottom}M${box.left} ${y.toFixed(1)}H${box.right}" `;
    body += `${cross}class="halo" opacity=".35" style="stroke-width:3"/>${cross}class="cursor" style="stroke-width:1"/><circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="7" class="halo"/><circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="7" class="cursor"/>`;
    return svg(w, h, label, body);
  }

  function gauge(w, { threshold, scale }) {
    const high = 1.6 * Math.max(threshold, scale || 0, 1), X = (v) => 8 + (v / high) * (w - 16), y = 34;
    let body = rect(X(0), y, X(threshold) - X(0), 14, "var(--plus)", 'fill-opacity=".35"') + rect(X(threshold), y, X(high) - X(threshold), 14, COLOURS.dnc, 'fill-opacity=".5"');
    body += line(X(threshold), y - 6, X(threshold), y + 20, "axis") + text(Math.min(X(threshold), w - 60), y + 34, `K(L−1)/(L+1) = ${number(threshold, 3)}`, X(threshold) < 80 ? "start" : "middle", "soft");
    if (scale !== null) body += dot(X(scale), y + 7, 7, COLOURS.dnc, 'class="edge"') + text(Math.min(Math.max(X(scale), 40), w - 40), y - 10, `a = ${number(scale, 3)}`);
    return svg(w, 74, scale === null ? "Collapse does not exist here." : `Scale of collapse ${number(scale)}, threshold of stability ${number(threshold)}.`, body);
  }

  function decades(low, high) {
    const found = [];
    for (let e = Math.floor(low); e <= high; e++) for (const f of [1, 2, 5]) found.push([Math.log10(f) + e, number(f * 10 ** e)]);
    const inside = found.filter(([v]) => v >= low && v <= high);
    return inside.length > 5 ? inside.filter(([v]) => Math.abs(v - Math.round(v)) < 1e-9) : inside;
  }

  // series: [{y: [...], stroke}] over steps.
  function trace(w, steps, series, ylabel, label, levels = [], logarithmic = false) {
    const values = series.flatMap((s) => s.y).concat(levels.map((l) => l.y)), h = 230, high = Math.max(1e-3, ...values);
    const range = logarithmic ? [Math.log10(Math.min(...values)) - 0.05, Math.log10(high) + 0.05] : [0, high * 1.06];
    const { X, Y: at, body } = frame(w, h, [0, Math.max(10, ...steps)], range, "step", ylabel, { yticks: logarithmic ? decades(...range) : null, xticks: ticks(0, Math.max(10, ...steps), 3).map((t) => [t, t]) });
    const Y = logarithmic ? (y) => at(Math.log10(y)) : at;
    const marks = levels.map(({ y, stroke, name }) => path([[X(0), Y(y)], [w - 10, Y(y)]], stroke, 1.4, 'stroke-dasharray="5 4"')).join("");
    return svg(w, h, label, body + marks + series.map((s) => path(steps.map((t, i) => [X(t), Y(s.y[i])]), s.stroke, 2)).join(""));
  }

  return { esc, tint, short, tag, number, rays, heat, spectrum, price, code, map, mapBox, HEIGHT, gauge, trace };
})();

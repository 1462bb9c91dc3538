// The three things a page cannot do from the server: frames in step with a film, a face drawn as
// sliders move, segments dragged along a sound.
(() => {
  const FPS = 25;
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();
  const sized = (canvas, height) => {
    const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    const tall = height || box.height;
    canvas.width = Math.max(1, Math.round(box.width * ratio));
    canvas.height = Math.max(1, Math.round(tall * ratio));
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return [pen, box.width, tall];
  };
  const COLOURS = ["--accent", "#c9803a", "#7a6fb3", "#4f86b8", "#b3566f", "#8a8f3c", "#5d9e6a", "#996b55", "#777777"];
  const colour = (i) => (COLOURS[i % COLOURS.length].startsWith("--") ? css(COLOURS[i % COLOURS.length]) : COLOURS[i % COLOURS.length]);
  const typing = (target) => target.closest && target.closest("input, textarea, select, [role=combobox], [contenteditable], .seg");
  const fetched = async (url) => { const got = await fetch(url); return got.ok ? got : null; };

  // A film with landmarks and masks drawn frame by frame, and curves that follow it.
  const player = async (root, base, frames) => {
    const get = (name) => root.querySelector(`[data-is=${name}]`);
    const film = get("film"), over = get("over"), scrub = get("scrub"), plot = get("plot");
    let points = null, labels = null, side = 0, palette = [], curves = null, now = 0;
    const hidden = document.createElement("canvas");
    const at = () => Math.min(frames - 1, Math.max(0, Math.floor(film.currentTime * FPS + 1e-3)));
    const show = (frame) => {
      now = frame;
      scrub.value = frame;
      get("clock").textContent = `frame ${frame} of ${frames}, ${(frame / FPS).toFixed(2)} s`;
      root.dataset.frame = frame;
      const [pen, wide, tall] = sized(over);
      pen.clearRect(0, 0, wide, tall);
      if (labels && get("masks").checked) {
        const picture = new ImageData(side, side), start = frame * side * side;
        const strong = get("strength").value * 2.55;
        for (let i = 0; i < side * side; i++) {
          const label = labels[start + i], rgb = label && palette[label];
          if (rgb) { picture.data.set(rgb, 4 * i); picture.data[4 * i + 3] = strong; }
        }
        hidden.width = hidden.height = side;
        hidden.getContext("2d").putImageData(picture, 0, 0);
        pen.imageSmoothingEnabled = false;
        pen.drawImage(hidden, 0, 0, wide, tall);
      }
      if (points && get("marks").checked) {
        const each = points.length / frames;
        pen.fillStyle = "#ffffff";
        let drawn = 0;
        for (let i = frame * each; i < (frame + 1) * each; i += 2) {
          if (Number.isNaN(points[i])) continue;
          pen.fillRect(points[i] * wide - 0.9, points[i + 1] * tall - 0.9, 1.8, 1.8);
          drawn++;
        }
        root.dataset.drawn = drawn;
      }
      draw();
    };
    const draw = () => {
      if (!curves) return;
      const rows = curves.curves, lane = 26, each = 78;
      const height = lane + rows.length * each;
      plot.style.height = `${height}px`;
      const [pen, wide] = sized(plot, height);
      pen.font = "12px system-ui, sans-serif";
      const x = (frame) => (frame / frames) * wide;
      for (const [word, start, end] of curves.words) {
        pen.fillStyle = css("--sunk");
        pen.fillRect(x(start * FPS), 2, Math.max(1, x((end - start) * FPS) - 2), 20);
        pen.fillStyle = css("--ink");
        pen.fillText(word, x(start * FPS) + 4, 16, Math.max(1, x((end - start) * FPS) - 8));
      }
      rows.forEach((row, k) => {
        const top = lane + k * each + 18, tall = each - 26;
        const names = Object.keys(row.series);
        const all = names.flatMap((n) => row.series[n].filter((v) => v !== null)).concat(row.zero ? [0] : []);
        const low = Math.min(...all), high = Math.max(...all), y = (v) => top + tall - ((v - low) / Math.max(high - low, 1e-9)) * tall;
        pen.fillStyle = css("--soft");
        pen.fillText(row.name, 0, top - 6);
        if (row.zero) { pen.strokeStyle = css("--line"); pen.beginPath(); pen.moveTo(0, y(0)); pen.lineTo(wide, y(0)); pen.stroke(); }
        let label = wide;
        names.forEach((name, i) => {
          pen.strokeStyle = pen.fillStyle = colour(i);
          pen.lineWidth = 1.5;
          pen.beginPath();
          let lifted = true;
          row.series[name].forEach((v, frame) => {
            if (v === null) { lifted = true; return; }
            lifted ? pen.moveTo(x(frame + 0.5), y(v)) : pen.lineTo(x(frame + 0.5), y(v));
            lifted = false;
          });
          pen.stroke();
          if (names.length > 1) {
            const back = names[names.length - 1 - i];
            pen.fillStyle = colour(names.length - 1 - i);
            label -= pen.measureText(back).width + 12;
            pen.fillText(back, label, top - 6);
          }
        });
      });
      pen.fillStyle = css("--ink");
      pen.fillRect(x(now + 0.5), 0, 1, height);
    };
    const seek = (frame) => {
      const wanted = Math.min(frames - 1, Math.max(0, frame));
      film.currentTime = (wanted + 0.5) / FPS;
      show(wanted);
    };
    const play = () => (film.paused ? film.play() : film.pause());
    if (film.requestVideoFrameCallback) {
      const tick = (_, told) => { if (!film.paused) show(Math.min(frames - 1, Math.round(told.mediaTime * FPS))); film.requestVideoFrameCallback(tick); };
      film.requestVideoFrameCallback(tick);
    } else film.addEventListener("timeupdate", () => show(at()));
    film.addEventListener("play", () => (get("play").textContent = "Pause"));
    film.addEventListener("pause", () => { get("play").textContent = "Play"; show(at()); });
    film.addEventListener("error", () => { get("clock").textContent = "this browser cannot play the film"; });
    get("play").addEventListener("click", play);
    scrub.addEventListener("input", () => { film.pause(); seek(+scrub.value); });
    for (const name of ["marks", "masks", "strength"]) get(name).addEventListener("input", () => show(now));
    root.querySelectorAll("[data-frame-at]").forEach((b) => b.addEventListener("click", () => { film.pause(); seek(+b.dataset.frameAt); }));
    plot.addEventListener("click", (e) => { film.pause(); seek(Math.floor((e.offsetX / plot.clientWidth) * frames)); });
    document.addEventListener("keydown", (e) => {
      if (e.ctrlKey || e.metaKey || e.altKey || (typing(e.target) && e.target.type !== "checkbox" && e.target !== scrub)) return;
      const key = e.key.toLowerCase();
      if (key === " " && e.target.tagName !== "BUTTON" && e.target.type !== "checkbox") play();
      else if (key === "arrowleft" && e.target !== scrub) { film.pause(); seek(now - (e.shiftKey ? 10 : 1)); }
      else if (key === "arrowright" && e.target !== scrub) { film.pause(); seek(now + (e.shiftKey ? 10 : 1)); }
      else if (key === "l") { get("marks").click(); }
      else if (key === "m") { get("masks").click(); }
      else return;
      e.preventDefault();
    });
    window.addEventListener("resize", () => show(now));
    new MutationObserver(() => show(now)).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    const [marks, masks, told, tints] = await Promise.all(["landmarks.f32", "masks.u8", "curves.json"].map((n) => fetched(`${base}/${n}`)).concat([fetched("/palette.json")]));
    if (marks) points = new Float32Array(await marks.arrayBuffer());
    if (masks) { labels = new Uint8Array(await masks.arrayBuffer()); side = Math.round(Math.sqrt(labels.length / frames)); }
    if (told) curves = await told.json();
    if (tints) palette = await tints.json();
    if (!points) get("marks").disabled = true;
    if (!labels) get("masks").disabled = get("strength").disabled = true;
    root.dataset.ready = "yes";
    show(0);
  };

  // A face of landmarks, moved from the server as sliders move.
  const faces = {};
  const face = (canvas, name, loops) => { faces[name] = { canvas, loops, points: null }; window.addEventListener("resize", () => moved(name)); };
  const moved = (name, points) => {
    const told = faces[name];
    if (!told) return;
    if (points) told.points = points;
    if (!told.points || !told.canvas.isConnected) return;
    const [pen, wide, tall] = sized(told.canvas), scale = wide / 4.4;
    const at = (i) => [wide / 2 + told.points[2 * i] * scale, tall * 0.4 + told.points[2 * i + 1] * scale];
    pen.clearRect(0, 0, wide, tall);
    pen.fillStyle = css("--soft");
    for (let i = 0; i < told.points.length / 2; i++) { const [x, y] = at(i); pen.globalAlpha = 0.55; pen.fillRect(x - 0.8, y - 0.8, 1.6, 1.6); }
    pen.globalAlpha = 1;
    pen.strokeStyle = css("--accent");
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    for (const loop of told.loops) {
      pen.beginPath();
      loop.forEach((i, k) => (k ? pen.lineTo(...at(i)) : pen.moveTo(...at(i))));
      pen.closePath();
      pen.stroke();
    }
    told.canvas.dataset.moved = (+told.canvas.dataset.moved || 0) + 1;
  };

  // Segments over a sound.
  const lane = { root: null, seconds: 0, segments: [], peaks: [], words: [] };
  const pinch = (v) => Math.round(Math.min(lane.seconds, Math.max(0, v)) * 25) / 25;
  const tell = () => emitEvent("segments", lane.segments);
  const drawLane = () => {
    const root = lane.root;
    if (!root || !root.isConnected) return;
    const focused = document.activeElement && document.activeElement.dataset && root.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    root.querySelectorAll(".seg").forEach((s) => s.remove());
    const [pen, wide, tall] = sized(root.querySelector("canvas"));
    const x = (s) => (s / Math.max(lane.seconds, 0.04)) * wide;
    pen.clearRect(0, 0, wide, tall);
    pen.fillStyle = css("--soft");
    pen.globalAlpha = 0.7;
    lane.peaks.forEach((p, i) => { const h = Math.max(1, p * 46); pen.fillRect((i / lane.peaks.length) * wide, 106 - h / 2, Math.max(1, wide / lane.peaks.length - 1), h); });
    pen.globalAlpha = 1;
    pen.font = "12px system-ui, sans-serif";
    for (const [word, start, end] of lane.words) pen.fillText(word, x(start) + 2, tall - 6, Math.max(8, x(end - start) - 4));
    lane.segments.forEach((seg, i) => {
      const box = document.createElement("div");
      box.className = "seg";
      box.tabIndex = 0;
      box.dataset.at = i;
      box.setAttribute("role", "button");
      box.setAttribute("aria-label", `${seg.tag} from ${seg.start} to ${seg.end} seconds, intensity ${seg.intensity}. Arrow keys move it, with shift its end, delete removes it.`);
      box.style.left = `${x(seg.start)}px`;
      box.style.width = `${Math.max(16, x(seg.end - seg.start))}px`;
      box.style.opacity = 0.45 + 0.55 * Math.min(1, seg.intensity);
      const name = document.createElement("b"), span = document.createElement("span");
      name.textContent = seg.tag;
      span.textContent = `${seg.start.toFixed(2)}–${seg.end.toFixed(2)} s · ${seg.intensity}`;
      box.append(name, span);
      root.append(box);
      if (focused === String(i)) box.focus();
      box.addEventListener("keydown", (e) => {
        const step = { ArrowLeft: -0.04, ArrowRight: 0.04 }[e.key];
        if (step) {
          if (e.shiftKey) seg.end = Math.max(seg.start + 0.04, pinch(seg.end + step));
          else { const long = seg.end - seg.start; seg.start = pinch(Math.min(seg.start + step, lane.seconds - long)); seg.end = pinch(seg.start + long); }
        } else if (e.key === "Delete" || e.key === "Backspace") lane.segments.splice(i, 1);
        else return;
        e.preventDefault();
        e.stopPropagation();
        drawLane();
        tell();
      });
      box.addEventListener("pointerdown", (e) => {
        const from = e.clientX, box0 = { ...seg }, left = e.offsetX < 12, right = e.offsetX > box.clientWidth - 12;
        const move = (m) => {
          const by = ((m.clientX - from) / wide) * lane.seconds;
          if (left) seg.start = Math.min(pinch(box0.start + by), seg.end - 0.04);
          else if (right) seg.end = Math.max(pinch(box0.end + by), seg.start + 0.04);
          else { const long = box0.end - box0.start; seg.start = pinch(Math.min(box0.start + by, lane.seconds - long)); seg.end = pinch(seg.start + long); }
          drawLane();
        };
        const up = () => { document.removeEventListener("pointermove", move); document.removeEventListener("pointerup", up); tell(); };
        document.addEventListener("pointermove", move);
        document.addEventListener("pointerup", up);
        e.preventDefault();
        box.focus();
      });
    });
    root.dataset.segments = lane.segments.length;
  };
  const timeline = (root, told) => { Object.assign(lane, told, { root }); drawLane(); };
  const segments = (told) => { lane.segments = told; drawLane(); };
  window.addEventListener("resize", drawLane);
  document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => { drawLane(); Object.keys(faces).forEach((n) => moved(n)); }).observe(document.body, { attributes: true, attributeFilter: ["class"] }));

  window.studio = { player, face, moved, timeline, segments };
})();

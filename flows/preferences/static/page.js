// Two videos on one clock: what is done to one is done to the other.
"use strict";
(() => {
  const videos = [...document.querySelectorAll("video")];
  if (videos.length !== 2) return;
  const play = document.getElementById("play");
  const seek = document.getElementById("seek");
  const clock = document.getElementById("clock");
  const form = document.getElementById("marks");
  const save = document.getElementById("save");
  const hint = document.getElementById("hint");
  const APART = 0.06; // seconds; one and a half frames
  const length = () => Math.max(...videos.map((v) => v.duration || 0));
  const leader = () => (videos[1].duration > videos[0].duration ? videos[1] : videos[0]);
  let playing = false;

  const start = async () => {
    if (leader().ended || leader().currentTime >= length() - 0.02) videos.forEach((v) => { v.currentTime = 0; });
    const at = leader().currentTime;
    videos.forEach((v) => { if (Math.abs(v.currentTime - at) > APART && at < v.duration) v.currentTime = at; });
    playing = true;
    play.textContent = "Pause";
    try { await Promise.all(videos.map((v) => v.play())); } catch (error) { stop(); }
  };
  const stop = () => { playing = false; videos.forEach((v) => v.pause()); play.textContent = "Play both"; };
  const toggle = () => (playing ? stop() : start());
  play.addEventListener("click", toggle);
  videos.forEach((v) => v.addEventListener("click", toggle));
  leader().addEventListener("ended", () => { if (videos.every((v) => v.ended || v.paused)) stop(); });
  videos.forEach((v) => v.addEventListener("ended", () => { if (v === leader()) stop(); }));
  seek.addEventListener("input", () => {
    const at = (seek.value / 1000) * length();
    videos.forEach((v) => { v.currentTime = Math.min(at, v.duration || 0); });
  });
  const tick = () => {
    const first = leader();
    const other = videos.find((v) => v !== first);
    if (playing && !other.ended && !other.seeking && Math.abs(first.currentTime - other.currentTime) > APART && first.currentTime < other.duration)
      other.currentTime = first.currentTime;
    if (length() && document.activeElement !== seek) seek.value = Math.round((1000 * first.currentTime) / length());
    clock.textContent = first.currentTime.toFixed(1) + " s";
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);

  const ears = [...document.querySelectorAll("[data-ear]")];
  ears.forEach((ear) => ear.addEventListener("click", () => {
    const side = Number(ear.dataset.ear);
    videos.forEach((v, i) => { v.muted = i !== side; });
    ears.forEach((e, i) => { e.classList.toggle("on", i === side); e.setAttribute("aria-pressed", String(i === side)); });
  }));

  const groups = [...new Set([...form.querySelectorAll("input[type=radio]")].map((i) => i.name))];
  const check = () => {
    const left = groups.filter((name) => !form.querySelector(`input[name="${name}"]:checked`)).length;
    save.disabled = left > 0;
    hint.textContent = left ? `0 not at all · 5 entirely — ${left} mark${left === 1 ? "" : "s"} to give` : "0 not at all · 5 entirely";
  };
  form.addEventListener("change", check);
  check();
  document.addEventListener("keydown", (event) => {
    if (event.code === "Space" && event.target.tagName !== "BUTTON" && event.target.type !== "text") { event.preventDefault(); toggle(); }
  });
})();

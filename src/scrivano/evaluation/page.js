"use strict";
// Click a word to hear it, with a little before and after.
const MARGIN = 0.25;
let until = null;
let now = null;

function play(word) {
  const audio = word.closest("article").querySelector("audio");
  if (!audio) return;
  document.querySelectorAll("audio").forEach((other) => { if (other !== audio) other.pause(); });
  const start = Math.max(0, Number(word.dataset.s) - MARGIN);
  until = { audio, time: Number(word.dataset.e) + MARGIN };
  if (now) now.classList.remove("now");
  now = word;
  now.classList.add("now");
  const begin = () => { audio.currentTime = start; audio.play().catch(() => {}); };
  if (audio.readyState >= 1) begin();
  else { audio.addEventListener("loadedmetadata", begin, { once: true }); audio.load(); }
}

document.addEventListener("click", (event) => {
  const word = event.target.closest("[data-s]");
  if (word) play(word);
});
document.addEventListener("keydown", (event) => {
  const word = event.target.closest && event.target.closest("[data-s]");
  if (word && event.key === "Enter") play(word);
});
document.addEventListener("timeupdate", (event) => {
  if (until && event.target === until.audio && event.target.currentTime >= until.time) {
    event.target.pause();
    until = null;
  }
}, true);

const articles = Array.from(document.querySelectorAll("article"));
const show = () => {
  const language = document.getElementById("language").value;
  const only = document.getElementById("only").value;
  for (const article of articles) {
    const hidden = (language && article.dataset.language !== language)
      || (only === "errors" && article.dataset.errors === "0")
      || (only === "holes" && article.dataset.holes === "0")
      || (only === "differs" && article.dataset.differs === "0");
    article.classList.toggle("hidden", hidden);
  }
};
const sort = () => {
  const by = document.getElementById("sort").value;
  const order = by === "name"
    ? (a, b) => a.dataset.name.localeCompare(b.dataset.name)
    : (a, b) => Number(b.dataset[by]) - Number(a.dataset[by]);
  const parent = document.getElementById("recordings");
  articles.sort(order).forEach((article) => parent.append(article));
};
document.getElementById("language").addEventListener("change", show);
document.getElementById("only").addEventListener("change", show);
document.getElementById("sort").addEventListener("change", sort);
document.getElementById("next").addEventListener("click", () => {
  const marks = Array.from(document.querySelectorAll("del, ins")).filter((mark) => mark.offsetParent);
  const after = marks.find((mark) => mark.getBoundingClientRect().top > window.innerHeight / 2 + 4);
  if (after) after.scrollIntoView({ block: "center" });
});

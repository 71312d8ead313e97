"use strict";
// Light or dark: the system's choice until a person makes another.
const root = document.documentElement;
function remembered() {
  try { return localStorage.getItem("theme"); } catch (error) { return null; }
}
if (remembered()) root.dataset.theme = remembered();

// Puts a piece of a page, which the server has escaped, in its place, and looks again when the server says so.
async function poll(place) {
  let again = 5;
  try {
    const answer = await fetch(place.dataset.poll, {headers: {"X-Part": "1"}});
    place.innerHTML = await answer.text();
    again = Number(answer.headers.get("X-Again"));
  } catch (error) { /* the server has ended, or is not there yet */ }
  if (again) setTimeout(() => place.isConnected && poll(place), again * 1000);
}

async function judge(event) {
  event.preventDefault();
  const form = event.target, place = document.getElementById(form.dataset.into), button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, {method: "POST", body: new URLSearchParams(new FormData(form)), headers: {"X-Part": "1"}});
    if (answer.redirected) {
      place.innerHTML = "<div></div>";
      place.firstChild.dataset.poll = new URL(answer.url).pathname;
      poll(place.firstChild);
    } else {
      place.textContent = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".note")?.textContent ?? "Refused.";
    }
  } catch (error) {
    place.textContent = "The server does not answer.";
  }
  button.disabled = false;
}

addEventListener("DOMContentLoaded", () => {
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (error) { /* a private window */ }
  });
  document.querySelectorAll("[data-poll]").forEach(poll);
  document.querySelectorAll("form[data-into]").forEach(form => form.addEventListener("submit", judge));
});

// Keyboard shortcuts and a guard against double sends. Everything works without this file too.
"use strict";

const typing = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  // Enter on a focused button or link means that button or link
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  const wanted = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = [...document.querySelectorAll("[data-key]")].find((found) => found.dataset.key === wanted);
  if (!control) return;
  event.preventDefault();
  if (control.matches("textarea, input")) {
    const folded = control.closest("details");
    if (folded) folded.open = true;
    control.focus();
  } else {
    control.click();
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
});

// a page that comes back from the browser's memory may be sent again
window.addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("form").forEach((form) => delete form.dataset.sent);
});

// Forms that ask several things: a key answers the first one that is open and goes on to the next. On a narrow screen they are asked
// one by one, and told together at the end, where each can be touched to say it anew.
const answering = document.querySelector("form[data-answers]");
if (answering) {
  const asked = [...answering.querySelectorAll("fieldset")];
  const narrow = window.matchMedia("(max-width: 56rem)");
  const place = answering.querySelector("[data-place]");
  const back = answering.querySelector("[data-back]");
  let again = null; // one that was answered before and is looked at once more
  const open = () => asked.find((set) => !set.querySelector("input:checked"));
  const mark = () => {
    const now = again || open();
    asked.forEach((set) => set.toggleAttribute("data-current", set === now));
    place.textContent = now ? `${asked.indexOf(now) + 1} of ${asked.length}` : "Touch one to change it";
    back.disabled = now === asked[0];
    if (now && !narrow.matches) now.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (event.target.closest("textarea, select, input:not([type=radio])")) return;
    if (event.key === "Backspace") {
      const answered = asked.filter((set) => set.querySelector("input:checked"));
      if (answered.length) answered[answered.length - 1].querySelector("input:checked").checked = false;
      again = null;
      mark();
      return;
    }
    const focused = event.target.closest("fieldset");
    const current = focused && asked.includes(focused) ? focused : again || open();
    const choice = current && current.querySelector(`[data-answer="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!choice) return;
    event.preventDefault();
    choice.checked = true;
    again = null;
    if (document.activeElement !== document.body) document.activeElement.blur();
    mark();
  });
  answering.addEventListener("change", mark);
  answering.addEventListener("click", (event) => {
    if (!narrow.matches) return;
    const set = event.target.closest("fieldset");
    if (event.target === back) {
      const now = asked.findIndex((found) => found.hasAttribute("data-current"));
      again = asked[(now < 0 ? asked.length : now) - 1];
    } else if (set && !answering.querySelector("fieldset[data-current]")) {
      event.preventDefault(); // the answers are told together: nothing is said anew yet
      again = set;
    } else if (event.target.matches("input[type=radio]")) {
      again = null;
    } else {
      return;
    }
    mark();
  });
  answering.classList.add("stepped");
  mark();
}

// Looks again at a page that is still changing, and leaves its reader where they were. Without this file <noscript> does the former.
"use strict";

const KEPT = "remand-looked-again";
const main = document.querySelector("[data-again]");
const name = (element) => element.id || element.getAttribute("href") || element.getAttribute("aria-label");
const named = (selector, wanted) => [...document.querySelectorAll(selector)].find((found) => name(found) === wanted);

const keep = () => {
  const scrolled = [...document.querySelectorAll("[role=region][tabindex]")].map((e) => [name(e), e.scrollLeft]);
  const open = [...document.querySelectorAll("details[id]")].filter((e) => e.open).map((e) => e.id);
  const focus = document.activeElement === document.body ? null : name(document.activeElement);
  return { at: location.href, top: scrollY, scrolled, open, focus };
};

const restore = (kept) => {
  document.querySelectorAll("details[id]").forEach((e) => { e.open = kept.open.includes(e.id); });
  kept.scrolled.forEach(([region, left]) => {
    const found = named("[role=region][tabindex]", region);
    if (found) found.scrollLeft = left;
  });
  if (kept.focus) named("a[href], summary, [role=region][tabindex]", kept.focus)?.focus({ preventScroll: true });
  scrollTo(0, kept.top);
};

try {
  const kept = JSON.parse(sessionStorage.getItem(KEPT));
  sessionStorage.removeItem(KEPT);
  if (kept && kept.at === location.href) restore(kept);
} catch { /* without storage the page begins at its top */ }

if (main) {
  const again = setInterval(() => {
    if (document.hidden || !getSelection().isCollapsed) return; // somebody else is looked at, or words are being copied
    try { sessionStorage.setItem(KEPT, JSON.stringify(keep())); } catch { /* as above */ }
    location.reload();
  }, Number(main.dataset.again) * 1000);
  addEventListener("beforeunload", () => clearInterval(again)); // looking again would call off a link on its way
}

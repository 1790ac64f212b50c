// The theme's script makes these without a name, or without a way to scroll them by keyboard.
function mend() {
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap")) wide.tabIndex = 0;
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code ${i + 1}`));
}
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
mend();

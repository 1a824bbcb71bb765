// Before the first painting, so that a chosen theme does not flash.
try {
  const theme = localStorage.getItem("scrivano.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: the theme of the system.
}

// Before the first painting, so that no other theme flashes.
{
  let theme = null;
  try {
    theme = localStorage.getItem("scrivano.theme");
  } catch {
    // No storage: the theme of the system.
  }
  if (theme !== "light" && theme !== "dark") theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
}

// Without this script the button opens the answer as a page of its own.
const form = document.querySelector(".try");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const output = form.querySelector("output");
  const start = performance.now();
  try {
    const response = await fetch(form.action);
    const body = await response.text();
    output.value = `${response.status} ${body.trim()} in ${Math.round(performance.now() - start)} ms`;
  } catch (error) {
    output.value = `no answer: ${error.message}`;
  }
});

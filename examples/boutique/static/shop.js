// Choosing a currency is enough: without this file, there is a button to press.
document.getElementById("currency_code")?.addEventListener("change", (event) => event.target.form.submit());

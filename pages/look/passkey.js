// Passkeys on the pages: asks the browser, and sends its answer with the form that is there. Without this file, or in a
// browser without passkeys, the forms stay hidden and the pages are whole.
const api = globalThis.PublicKeyCredential;
const able = api && api.parseCreationOptionsFromJSON && api.parseRequestOptionsFromJSON && api.prototype.toJSON;

const fetchQuestion = async (form) => {
  const answer = await fetch(form.dataset.ask, { cache: "no-store", headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
};

const send = (form, credential) => {
  form.elements.answer.value = JSON.stringify(credential);
  HTMLFormElement.prototype.submit.call(form); // past the listeners here, and past a button that is called submit
};

// Each question takes the place of the one before: a browser answers one at a time. True when
// an answer was sent: then the page goes, and must ask nothing more that could stop that.
let asking;
const ask = async (form, from, quiet) => {
  asking?.abort();
  const { signal } = asking = new AbortController();
  const failed = form.querySelector("[data-failed]");
  if (!quiet) failed.hidden = true;
  try {
    const question = await fetchQuestion(form);
    if (signal.aborted) return false;
    const credential = await from(question, signal);
    if (signal.aborted) return false;
    send(form, credential);
    return true;
  } catch {
    if (!signal.aborted && !quiet) failed.hidden = false;
    return false;
  }
};

const get = (mediation) => (question, signal) =>
  navigator.credentials.get({ publicKey: api.parseRequestOptionsFromJSON(question), mediation, signal });
const create = (question, signal) =>
  navigator.credentials.create({ publicKey: api.parseCreationOptionsFromJSON(question), signal });

const signIn = document.getElementById("passkey");
if (able && signIn) {
  signIn.hidden = false;
  // In the list of names that the browser offers. A question is over after five minutes: a page that stays open asks anew.
  let again;
  const quietly = async () => {
    if (await ask(signIn, get("conditional"), true)) clearInterval(again);
  };
  const offer = async () => {
    if (!await api.isConditionalMediationAvailable?.()) return;
    again = setInterval(quietly, 240000);
    quietly();
  };
  offer();
  signIn.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearInterval(again);
    if (!await ask(signIn, get())) offer();
  });
}

// The second step, after a password: only by the button, beside what else there is.
const second = document.getElementById("second");
if (able && second) {
  second.hidden = false;
  const without = document.getElementById("no-passkeys");
  if (without) without.hidden = true;
  second.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(second, get());
  });
}

const add = document.getElementById("add");
if (able && add) {
  add.hidden = false;
  const without = document.getElementById("no-passkeys");
  if (without) without.hidden = true;
  add.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(add, create);
  });
}

// The page of the first administrator. The secret stands behind the # of the link: it goes into its field, and out of the
// address and the history.
const setup = document.getElementById("setup");
if (setup && location.hash.length > 1) {
  setup.elements.secret.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
}
const make = document.getElementById("make-passkey");
if (able && setup && make) {
  document.getElementById("by-passkey").hidden = false;
  const address = setup.dataset.ask;
  make.addEventListener("click", () => {
    if (!setup.reportValidity()) return;
    setup.dataset.ask = `${address}&identifier=${encodeURIComponent(setup.elements.identifier.value)}`;
    ask(setup, create);
  });
}

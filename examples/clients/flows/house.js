// What the flows have in common: clients that an administrator registers, and a person at a browser
// without scripts, who signs in, reads the pages and presses their buttons.
import { createServer } from "node:http";

export const { ISSUER: issuer, ADMIN: adminAddress, KEY: adminKey, USERNAME: username, PASSWORD: password, MCP: mcp } = process.env;
export const callback = "http://127.0.0.1:9/callback";
export const signedOut = "http://127.0.0.1:9/signed-out";

async function admin(method, path, body) {
  const answer = await fetch(`${adminAddress}${path}`, {
    method, body: JSON.stringify(body), headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

// register registers a client that acts for people, with what differs.
export function register(members) {
  return admin("POST", "/clients", {
    client_name: "A program", redirect_uris: [callback], grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "client_secret_basic", scope: "openid profile email documents:read offline_access", ...members,
  });
}

// publicKeys is the JWK Set of a pair's public half.
export async function publicKeys({ publicKey }) {
  return { keys: [{ ...await crypto.subtle.exportKey("jwk", publicKey), use: "sig" }] };
}

export function must(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

// refused waits for what must fail, and returns how it did.
export async function refused(promise, what) {
  try {
    await promise;
  } catch (problem) {
    return problem;
  }
  throw new Error(`not refused: ${what}`);
}

const unescape = (text) => text.replace(/&#(\d+);/g, (_, n) => String.fromCodePoint(n)).replace(/&#x([0-9a-f]+);/gi, (_, n) => String.fromCodePoint(parseInt(n, 16)))
  .replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const attributes = (tag) => Object.fromEntries([...tag.matchAll(/([a-z-]+)(?:="([^"]*)")?/g)].slice(1).map(([, name, value]) => [name, unescape(value ?? "")]));

export class Browser {
  #cookies = new Map();

  // open follows redirects within the issuer. It ends at a page, or where somebody else is: then it does not go there.
  async open(address, options = {}) {
    let at = new URL(address, issuer);
    for (let hops = 0; hops < 10; hops++) {
      if (at.origin !== new URL(issuer).origin) return { left: at };
      const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const answer = await fetch(at, { redirect: "manual", ...options, headers: cookie ? { cookie } : {} });
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
        this.#cookies.set(name, value);
      }
      const to = answer.headers.get("location");
      if (!to) return { at, status: answer.status, page: await answer.text() };
      at = new URL(to, at);
      options = {};
    }
    throw new Error(`too many redirects: ${at}`);
  }

  // press fills in the form that has the button, as the page has it but for the values, and sends it.
  press({ at, page }, button, values = {}) {
    for (const [, opening, inside] of page.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)) {
      const pressed = [...inside.matchAll(/<button[^>]*>/g)].map(([tag]) => attributes(tag)).find(({ id }) => id === button);
      if (!pressed) continue;
      const fields = new URLSearchParams();
      for (const [tag] of inside.matchAll(/<input[^>]*>/g)) {
        const { name, type, value, ...rest } = attributes(tag);
        if (name && (type !== "checkbox" || "checked" in rest)) fields.set(name, value ?? "on");
      }
      for (const [name, value] of Object.entries(values)) fields.set(name, value);
      if (pressed.name) fields.set(pressed.name, pressed.value);
      return this.open(new URL(attributes(`<form ${opening.trim()}>`).action, at), { method: "POST", body: fields });
    }
    throw new Error(`no form with the button ${button} at ${at}: ${page}`);
  }

  async signIn(seen) {
    return this.press(await this.press(seen, "continue", { identifier: username }), "submit", { password });
  }

  // allow opens an address for which somebody has to sign in and to say yes, and returns where the program goes on.
  async allow(address) {
    let seen = await this.open(address);
    if (seen.at?.pathname.endsWith("/signin")) seen = await this.signIn(seen);
    if (!seen.left) seen = await this.press(seen, "allow");
    must(seen.left, `back at the program, not at ${seen.at}: ${seen.page}`);
    return seen.left;
  }

  // allowDevice does so for a device, by the address that it shows.
  async allowDevice(address) {
    const seen = await this.press(await this.signIn(await this.open(address)), "submit");
    const said = await this.press(seen, "allow", { same: "yes" });
    must(said.page.includes('id="said"'), `allowed: ${said.page}`);
  }

  // allowAsked does so for a client that has no browser to send, and says something that the page has to show.
  async allowAsked(message) {
    await this.signIn(await this.open(`${issuer}/signin`));
    const seen = await this.open(`${issuer}/account/requests`);
    const [, number] = seen.page.match(`id="message-([0-9]+)"><bdi>${message}</bdi>`);
    const said = await this.press(seen, `allow-${number}`, { mine: "yes" });
    must(said.page.includes('id="said"'), `allowed: ${said.page}`);
  }
}

// listen waits for one POST, and returns its address and its form.
export async function listen() {
  let told;
  const form = new Promise((resolve) => { told = resolve; });
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => { body += chunk; });
    request.on("end", () => { response.end(); server.close(); told(new URLSearchParams(body)); });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}/signed-out`, form };
}

// run runs the flow that the first argument names. What it throws ends the program.
export async function run(flows) {
  await flows[process.argv[2]]();
  process.exit(0);
}

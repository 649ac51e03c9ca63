// Uses the types that openapi-typescript makes of the management API's document: reads
// who the caller is, and changes a setting.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({
  baseUrl: process.env.GATEHOUSE_URL!,
  headers: { authorization: `Bearer ${process.env.GATEHOUSE_TOKEN}` },
});
const me = await client.GET("/admin/v1/me", {});
if (me.error) throw new Error(me.error.code);
const realm = await client.PATCH("/admin/v1/realms/{realm}", {
  params: { path: { realm: "main" } },
  body: { title: "by typescript", settings: { access_token_ttl: "5m", audience: null } },
});
if (realm.error) throw new Error(realm.error.code);
const missing = await client.GET("/admin/v1/realms/{realm}", { params: { path: { realm: "none" } } });
if (!missing.error) throw new Error("a realm that is not there was found");
console.log(me.data.kind, realm.data.title, missing.error.code);

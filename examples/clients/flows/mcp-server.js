// An MCP server by the SDK, as it stands behind Gatehouse: it knows nothing of tokens. It prints where it listens.
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";

const server = createServer(async (request, response) => {
  if (request.method !== "POST") {
    response.writeHead(405).end(); // no stream that the server begins, and no sessions
    return;
  }
  const tools = new McpServer({ name: "tools", version: "1" });
  tools.registerTool("headers", { description: "Says which headers came." }, async (extra) =>
    ({ content: [{ type: "text", text: JSON.stringify(extra.requestInfo.headers) }] }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  await tools.connect(transport);
  await transport.handleRequest(request, response);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();

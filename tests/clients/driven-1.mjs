// The TypeScript SDK 1.x, driven by a test. Arguments: the URL of a server, or a command that is one on stdio.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { driven, pages, timeout } from './driven.mjs';

const [target, ...args] = process.argv.slice(2);
const http = target.startsWith('http:');
const transport = http
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args, env: process.env, stderr: 'inherit' });
const { capabilities, noticed, asked, run } = driven();
const client = new Client({ name: 'typescript-1', version: '1' }, { capabilities });
for (const schema of [types.ElicitRequestSchema, types.CreateMessageRequestSchema, types.ListRootsRequestSchema]) {
    client.setRequestHandler(schema, asked);
}
for (const schema of [
    types.ToolListChangedNotificationSchema, types.PromptListChangedNotificationSchema,
    types.ResourceListChangedNotificationSchema, types.ResourceUpdatedNotificationSchema,
    types.LoggingMessageNotificationSchema,
]) {
    client.setNotificationHandler(schema, noticed);
}

const methods = {
    'tools/list': (params, options) => pages(more => client.listTools(more, options), 'tools'),
    'resources/list': (params, options) => pages(more => client.listResources(more, options), 'resources'),
    'resources/templates/list': (params, options) =>
        pages(more => client.listResourceTemplates(more, options), 'resourceTemplates'),
    'prompts/list': (params, options) => pages(more => client.listPrompts(more, options), 'prompts'),
    'tools/call': (params, options) => client.callTool(params, undefined, options),
    'resources/read': (params, options) => client.readResource(params, options),
    'prompts/get': (params, options) => client.getPrompt(params, options),
    'completion/complete': (params, options) => client.complete(params, options),
    'logging/setLevel': ({ level }, options) => client.setLoggingLevel(level, options),
    'resources/subscribe': (params, options) => client.subscribeResource(params, options),
    'resources/unsubscribe': (params, options) => client.unsubscribeResource(params, options),
    ping: (params, options) => client.ping(options),
};

await client.connect(transport, { timeout });
const { name, version } = client.getServerVersion();
await run(
    // Over stdio, this SDK does not show the negotiated version.
    { version: http ? transport.protocolVersion : '2025-11-25', server: [name, version],
        instructions: client.getInstructions(), capabilities: client.getServerCapabilities() },
    (method, params, options) => methods[method](params, options),
);
if (http) await transport.terminateSession();
await client.close();

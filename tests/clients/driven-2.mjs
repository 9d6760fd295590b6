// The TypeScript client 2.x, driven by a test. Arguments: `legacy` or the version to pin; the URL of a server, or a
// command that is one.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { driven, pages, timeout } from './driven.mjs';

const [era, target, ...args] = process.argv.slice(2);
const legacy = era === 'legacy', http = target.startsWith('http:');
const transport = http
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args, env: process.env, stderr: 'inherit' });
const { capabilities, noticed, asked, run } = driven();
const client = new Client(
    { name: 'typescript-2', version: '2' },
    { capabilities, versionNegotiation: { mode: legacy ? 'legacy' : { pin: era } } },
);
for (const method of ['elicitation/create', 'sampling/createMessage', 'roots/list']) {
    client.setRequestHandler(method, asked);
}
for (const method of ['tools/list_changed', 'prompts/list_changed', 'resources/list_changed', 'resources/updated', 'message']) {
    client.setNotificationHandler(`notifications/${method}`, noticed);
}

// What was listed and read before is asked for again.
const again = options => ({ ...options, cacheMode: 'refresh' });
let subscription;
const methods = {
    'tools/list': (params, options) => pages(more => client.listTools(more, again(options)), 'tools'),
    'resources/list': (params, options) => pages(more => client.listResources(more, again(options)), 'resources'),
    'resources/templates/list': (params, options) =>
        pages(more => client.listResourceTemplates(more, again(options)), 'resourceTemplates'),
    'prompts/list': (params, options) => pages(more => client.listPrompts(more, again(options)), 'prompts'),
    'tools/call': (params, options) => client.callTool(params, options),
    'resources/read': (params, options) => client.readResource(params, again(options)),
    'prompts/get': (params, options) => client.getPrompt(params, options),
    'completion/complete': (params, options) => client.complete(params, options),
    'logging/setLevel': ({ level }, options) => client.setLoggingLevel(level, options),
    'resources/subscribe': async ({ uri }, options) => {
        if (legacy) return await client.subscribeResource({ uri }, options);
        const lists = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
        subscription = await client.listen({ ...lists, resourceSubscriptions: [uri] });
        return {};
    },
    'resources/unsubscribe': async ({ uri }, options) => {
        if (legacy) return await client.unsubscribeResource({ uri }, options);
        await subscription.close();
        return {};
    },
    ping: (params, options) => client.ping(options),
};

await client.connect(transport, { timeout });
const { name, version } = client.getServerVersion();
await run(
    { version: client.getNegotiatedProtocolVersion(), server: [name, version],
        instructions: client.getInstructions(), capabilities: client.getServerCapabilities() },
    (method, params, options) => methods[method](params, options),
);
if (http && legacy) await transport.terminateSession();
await client.close();

// The TypeScript client 2.x. Arguments: `legacy` or the version to pin; the URL of a server, or a command that is one.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { answer, session } from './session.mjs';

const [era, target, ...args] = process.argv.slice(2);
const legacy = era === 'legacy', http = target.startsWith('http:');
const transport = http
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args, env: process.env, stderr: 'inherit' });
const client = new Client(
    { name: 'typescript-2', version: '2' },
    { capabilities: { elicitation: {} }, versionNegotiation: { mode: legacy ? 'legacy' : { pin: era } } },
);
client.setRequestHandler('elicitation/create', answer);

await client.connect(transport);
await session({
    client,
    version: client.getNegotiatedProtocolVersion(),
    on: (method, fn) => client.setNotificationHandler(method, fn),
    call: (params, onprogress) => client.callTool(params, { onprogress }),
    watch: async uri => {
        if (legacy) {
            await client.subscribeResource({ uri });
            return async () => {
                await client.unsubscribeResource({ uri });
                if (http) await transport.terminateSession();
            };
        }
        const lists = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
        const subscription = await client.listen({ ...lists, resourceSubscriptions: [uri] });
        return () => subscription.close();
    },
});

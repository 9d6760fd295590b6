// The TypeScript SDK 1.x. Arguments: the URL of a server, or a command that is one on stdio.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { answer, session } from './session.mjs';

const [target, ...args] = process.argv.slice(2);
const http = target.startsWith('http:');
const transport = http
    ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target, args, env: process.env, stderr: 'inherit' });
const client = new Client({ name: 'typescript-1', version: '1' }, { capabilities: { elicitation: {} } });
client.setRequestHandler(types.ElicitRequestSchema, answer);

const schemas = {
    'notifications/tools/list_changed': types.ToolListChangedNotificationSchema,
    'notifications/prompts/list_changed': types.PromptListChangedNotificationSchema,
    'notifications/resources/list_changed': types.ResourceListChangedNotificationSchema,
    'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
};

await client.connect(transport);
await session({
    client,
    version: http ? transport.protocolVersion : undefined,
    on: (method, fn) => client.setNotificationHandler(schemas[method], fn),
    call: (params, onprogress) => client.callTool(params, undefined, { onprogress }),
    watch: async uri => {
        await client.subscribeResource({ uri });
        return async () => {
            await client.unsubscribeResource({ uri });
            if (http) await transport.terminateSession();
        };
    },
});

// One client session, whichever SDK it is: takes every step of a user's day and prints what it saw, one JSON line a step.

/** Print one step. */
export function say(step, seen) {
    console.log(JSON.stringify({ step, ...seen }));
}

/** A queue of notifications: `next()` waits for the first one not yet taken. */
export function inbox() {
    const waiting = [], arrived = [];
    return {
        put: item => (waiting.length ? waiting.shift()(item) : arrived.push(item)),
        next: () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise(take => waiting.push(take))),
    };
}

/** What the person at this client answers to every form. */
export function answer(request) {
    say('asked', { message: request.params.message, fields: Object.keys(request.params.requestedSchema.properties) });
    return { action: 'accept', content: { colour: 'blue', coats: 2, glossy: true } };
}

const text = result => result.content.map(block => block.text).join('\n');
const names = items => items.map(item => item.name);

/**
 * Take every step. `on(method, fn)` registers for a notification, `call(params, onprogress)` calls a tool,
 * `watch(uri)` asks for the changes of a resource and of the lists, and returns how to stop.
 */
export async function session({ client, version, on, call, watch }) {
    const changed = inbox(), updated = inbox();
    on('notifications/tools/list_changed', () => changed.put('tools'));
    on('notifications/prompts/list_changed', () => changed.put('prompts'));
    on('notifications/resources/list_changed', () => changed.put('resources'));
    on('notifications/resources/updated', notification => updated.put(notification.params.uri));

    say('connected', { version, server: client.getServerVersion().name, instructions: client.getInstructions(),
        capabilities: client.getServerCapabilities() });
    say('lists', {
        tools: names((await client.listTools()).tools),
        resources: (await client.listResources()).resources.map(item => item.uri),
        templates: (await client.listResourceTemplates()).resourceTemplates.map(item => item.uriTemplate),
        prompts: names((await client.listPrompts()).prompts),
    });

    say('called', { structured: (await call({ name: 'add', arguments: { a: 2, b: 3 } })).structuredContent });
    const refused = await call({ name: 'add', arguments: { a: 2 } });
    say('refused', { isError: refused.isError, text: text(refused) });
    const unknown = await call({ name: 'ad', arguments: {} }).catch(error => error);
    say('unknown', { code: unknown.code, message: unknown.message });

    const progress = [];
    const walked = await call({ name: 'walk', arguments: { steps: 3 } }, seen => {
        progress.push(seen);
        call({ name: 'go', arguments: {} });
    });
    say('progress', { text: text(walked), progress });

    say('resumed', { text: text(await call({ name: 'nap', arguments: {} })) });

    say('asked in the call', { text: text(await call({ name: 'paint', arguments: { thing: 'a door' } })) });
    say('asked before it', { text: text(await call({ name: 'dye', arguments: { thing: 'wool' } })) });

    const prompt = { type: 'ref/prompt', name: 'review' };
    const template = { type: 'ref/resource', uri: 'note://by/{author}' };
    say('completed', {
        prompt: (await client.complete({ ref: prompt, argument: { name: 'topic', value: 'ca' } })).completion.values,
        template: (await client.complete({ ref: template, argument: { name: 'author', value: '' } })).completion.values,
    });

    const image = (await client.readResource({ uri: 'pixel://one' })).contents[0];
    say('read', {
        fixed: (await client.readResource({ uri: 'note://today' })).contents[0].text,
        template: (await client.readResource({ uri: 'note://by/ann' })).contents[0].text,
        image: [image.mimeType, image.blob],
    });
    const { messages } = await client.getPrompt({ name: 'review', arguments: { topic: 'cats' } });
    say('prompted', { text: messages.map(message => message.content.text) });

    const stop = await watch('note://today');
    await call({ name: 'touch', arguments: { uri: 'note://today' } });
    say('updated', { uri: await updated.next() });

    say('ready for a reload', {});
    const lists = new Set();
    while (lists.size < 3) lists.add(await changed.next());
    say('reloaded', { lists: [...lists].sort(), tools: names((await client.listTools()).tools) });
    say('called the new', { text: text(await call({ name: 'late', arguments: {} })) });

    await stop();
    await client.close();
    say('closed', {});
}

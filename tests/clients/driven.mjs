// A client that a test drives, whichever SDK it is. It reads one request a line, and prints one line about each:
// what came to the client during the request, in order, and then its result or its error.
import { createInterface } from 'node:readline';

/** In milliseconds. No request may fail because a machine is busy. */
export const timeout = 300_000;

const print = value => console.log(JSON.stringify(value));

/** What a client of any SDK gives its handlers to, and what runs its requests. */
export function driven() {
    let seen = [], answers = [], arrived = () => {};
    const note = (...event) => {
        seen.push(event);
        arrived();
    };
    return {
        capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },

        /** Handles a notification. */
        noticed: ({ method, params }) => note(method, params ?? {}),

        /** Handles a question of the server: the test has given the answer together with the request. */
        asked: ({ method, params }) => {
            note(method, params ?? {});
            return answers.shift();
        },

        /** Send each request that comes, with `send(method, params, options)`, which returns the result. */
        run: async (connected, send) => {
            print(connected);
            for await (const line of createInterface({ input: process.stdin })) {
                const { method, params, progress, until, ...given } = JSON.parse(line);
                seen = [], answers = given.answers;
                const abort = new AbortController(), options = { signal: abort.signal, timeout };
                if (progress !== 'none') options.onprogress = report => {
                    note('notifications/progress', report);
                    if (progress === 'cancels') abort.abort('enough');
                    if (progress === 'goes on') send('tools/call', { name: 'go', arguments: {} }, { timeout });
                };
                let outcome;
                try {
                    outcome = { result: await send(method, params, options) };
                } catch (error) {
                    const { code, message, data } = error;
                    outcome = abort.signal.aborted ? { cancelled: true } : { error: { code, message, data } };
                }
                note(Object.keys(outcome)[0], {});
                while (outcome.result && !until.every(wanted => seen.some(([name]) => name === wanted))) {
                    await new Promise(wake => (arrived = wake));
                }
                print({ events: seen, ...outcome });
            }
        },
    };
}

/** Return a list whole, and how many pages it had. `list(params)` gets one page or all, and `key` is its items' name. */
export async function pages(list, key) {
    let page = await list({}), items = page[key], count = 1;
    while (page.nextCursor !== undefined) {
        page = await list({ cursor: page.nextCursor });
        items = [...items, ...page[key]];
        count += 1;
    }
    return { items, count };
}

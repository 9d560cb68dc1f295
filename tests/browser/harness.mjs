// What the browser tests stand on: the real binary before the real look-alike of WAHA, a bot that speaks plain HTTP, and Debian's Chromium.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const BINARY = process.env.WATCHDOG_BINARY ?? join(ROOT, 'target/debug/waha-watchdog');
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const PATIENCE = 30_000;

export const TOKENS = {
  ana: { role: 'operator', secret: 'secret-of-ana-the-operator' },
  luis: { role: 'operator', secret: 'secret-of-luis-the-operator' },
  vera: { role: 'viewer', secret: 'secret-of-vera-the-viewer' },
  'shop-bot': { role: 'bot', secret: 'secret-of-the-bot-itself' },
};

/** What is missing for these tests, or null. In CI nothing may be. */
export function missing() {
  const why = !existsSync(CHROMIUM) ? `${CHROMIUM} is missing (apt-get install chromium)` : !existsSync(BINARY) ? `${BINARY} is missing (cargo build)` : null;
  if (why && process.env.CI) throw new Error(why);
  if (why) console.error(`\n!! SKIPPED: ${why}\n`);
  return why;
}

/** Asks until `look` gives something. */
export async function until(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

/** A process that tells us where it listens; it ends with the test. */
async function start(args, find) {
  const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = [];
  const ended = new Promise((done) => child.once('exit', done));
  const found = new Promise((done, fail) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        const address = find(line);
        if (address) done(address);
      });
    }
    ended.then((code) => fail(new Error(`${args[0]} ended with ${code}:\n${lines.join('\n')}`)));
  });
  const stop = async (signal = 'SIGTERM') => {
    child.kill(signal);
    await ended;
  };
  return { address: await found, lines, stop, child };
}

/** The look-alike of WAHA. */
export async function fakeWaha(...args) {
  const process = await start(['fake-waha', '--listen', '127.0.0.1:0', '--time-scale', '0.05', ...args], (line) => line.match(/http:\/\/(127\.0\.0\.1:\d+)/)?.[1]);
  const url = `http://${process.address}`;
  const call = async (path, body, method = body === undefined ? 'GET' : 'POST') => {
    const answer = await fetch(url + path, { method, body: body === undefined ? undefined : JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    url,
    stop: process.stop,
    fault: (what, when = {}) => call('/__fake/faults', { when, what }),
    healFaults: () => call('/__fake/faults', undefined, 'DELETE'),
    session: (name, order) => call(`/__fake/sessions/${name}`, order),
    /** What a customer's phone shows. */
    phone: async (digits) => {
      const phones = await call('/__fake/phones');
      const entry = Object.entries(phones).find(([chat]) => chat.startsWith(digits));
      return entry ? entry[1] : [];
    },
    phones: () => call('/__fake/phones'),
  };
}

/** The sidecar. `settings` are keys of its configuration with TOML values. */
export async function sidecar(waha, settings = {}, tokens = TOKENS) {
  const folder = await mkdtemp(join(tmpdir(), 'watchdog-browser-'));
  const list = Object.entries(tokens).map(([name, { role, secret }]) => `{ name = "${name}", role = "${role}", secret = "${secret}" }`);
  const keys = {
    'waha.url': `"${waha.url}"`,
    'proxy.listen': '"127.0.0.1:0"',
    'admin.listen': '"127.0.0.1:0"',
    'admin.tokens': `[${list.join(', ')}]`,
    'store.path': `"${join(folder, 'watchdog.redb')}"`,
    'store.commit_wait': '"10s"',
    'log.format': '"json"',
    'retry.attempts': '2',
    'panel.order_url': '"https://shop.example.com/orders/{order_number}"',
    ...settings,
  };
  const file = join(folder, 'watchdog.toml');
  await writeFile(file, Object.entries(keys).map(([key, value]) => `${key} = ${value}\n`).join(''));
  const begin = () => start(['run', '--config', file], (line) => {
    try {
      const told = JSON.parse(line);
      return told.message === 'accepting calls' && told;
    } catch {
      return null;
    }
  });
  let process = await begin();
  const one = {
    folder,
    get panel() { return `http://${process.address.admin}`; },
    get proxy() { return `http://${process.address.proxy}`; },
    lines: () => process.lines,
    stop: async () => {
      await process.stop();
      await rm(folder, { recursive: true, force: true });
    },
    api: async (path, token = TOKENS.ana.secret, body = undefined) => {
      const answer = await fetch(one.panel + path, {
        method: body === undefined ? 'GET' : 'POST',
        body: body === undefined ? undefined : JSON.stringify(body),
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      });
      return answer.json();
    },
    /** The bot tells a customer; `attempts` calls, as a bot makes them. */
    tell: async (order, attempts = 2) => {
      let answer;
      for (let at = 0; at < attempts; at += 1) {
        const headers = {
          'content-type': 'application/json',
          'x-watchdog-order-id': encodeURIComponent(order.id ?? order.number),
          'x-watchdog-order-number': encodeURIComponent(order.number),
          'x-watchdog-order-total': encodeURIComponent(order.total ?? '$45.00'),
          'x-watchdog-customer-name': encodeURIComponent(order.name ?? 'Juan Pérez'),
          'x-watchdog-customer-phone': encodeURIComponent(order.phone),
          'x-watchdog-notification-type': order.type ?? 'ORDER_RECEIVED',
        };
        answer = await fetch(`${one.proxy}/api/sendText`, {
          method: 'POST',
          headers,
          body: JSON.stringify({ session: order.session ?? 'default', chatId: `${order.phone.replace(/\D/g, '')}@c.us`, text: order.text ?? `Hemos recibido tu orden ${order.number}` }),
        });
        await answer.arrayBuffer();
        if (answer.ok) break;
      }
      return answer;
    },
    /** Waits until so many are open. */
    failed: (count) => until(`${count} failed notifications`, async () => {
      const { items } = await one.api('/api/notifications/failed?limit=1000');
      return items.length === count && items;
    }),
  };
  return one;
}

/**
 * Watches for an element that is, or is no more (`gone`); by the page's own clock, not by how often a test looks. Begin before the deed; `since`
 * is when the deed was on record. Gives how long the page took from hearing of it to showing it, and how long it all took, in milliseconds.
 */
export async function watch(page, selector, { text = '', gone = false } = {}) {
  await page.evaluate(([selector, text, gone]) => {
    const there = () => [...document.querySelectorAll(selector)].some((one) => one.textContent.includes(text));
    window.seenAt = new Promise((done) => {
      const look = () => {
        if (there() === gone) return;
        observer.disconnect();
        done(performance.now());
      };
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
      look();
    });
  }, [selector, text, gone]);
  return async (since) => {
    const { seen, heard, origin } = await page.evaluate(async () => ({ seen: await window.seenAt, heard: window.heardAt, origin: performance.timeOrigin }));
    const from = Date.parse(since) - origin;
    const before = heard.filter((at) => at <= seen);
    // What another event had the page ask for may show the deed before its own event comes.
    const event = before.find((at) => at >= from - 2) ?? before.at(-1);
    if (event === undefined) throw new Error(`${selector} changed without any event`);
    return { drawn: seen - event, all: seen - from };
  };
}

let browser;
/** The browser of all tests; with `more` arguments one of its own, to be closed by whoever wants it. */
export async function launch(...more) {
  const begin = () => chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [...more, '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
  });
  if (more.length > 0) return begin();
  browser ??= await begin();
  return browser;
}

export async function close() {
  await browser?.close();
  browser = undefined;
}

/** A person before the panel. What goes wrong in their browser is noted. */
export async function person(panel, { name, language = 'es-VE', width = 1280, height = 900, browser: own, ...more } = {}) {
  const context = await (own ?? await launch()).newContext({ locale: language, viewport: { width, height }, timezoneId: 'America/Caracas', ...more });
  const page = await context.newPage();
  // When the page hears of something: for `seen`.
  await page.addInitScript(() => {
    window.heardAt = [];
    window.sources = [];
    const Real = window.EventSource;
    window.EventSource = class extends Real {
      constructor(...args) {
        super(...args);
        window.sources.push(this);
      }
      addEventListener(name, listener, ...more) {
        super.addEventListener(name, (event) => {
          if (event instanceof MessageEvent) window.heardAt.push(performance.now());
          listener(event);
        }, ...more);
      }
    };
  });
  page.setDefaultTimeout(PATIENCE);
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (line) => {
    if (line.type() === 'error' && !/net::ERR|status of (4|5)\d\d/.test(line.text())) page.faults.push(line.text());
  });
  page.on('dialog', (dialog) => {
    page.faults.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  if (name) {
    await page.goto(`${panel}/`);
    await page.fill('#token', TOKENS[name].secret);
    await page.click('button.strong');
    await page.waitForURL('**/panel/');
  }
  return page;
}

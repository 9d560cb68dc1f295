// Every page, light and dark, on a phone, a tablet and a desk: no violation that axe finds, nothing that scrolls sideways.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { TOKENS, close, fakeWaha, launch, missing, person, sidecar } from './harness.mjs';

const why = missing();
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const NAMES = ['María González', 'José Pérez', 'Ana Núñez', 'Luis Rojas'];

describe('every page', { skip: why ?? false, concurrency: 1 }, () => {
  let waha;
  let dog;
  let paths;
  const found = [];

  before(async () => {
    await launch();
    waha = await fakeWaha('--session', 'default', '--session', 'segunda-tienda');
    dog = await sidecar(waha, { 'waha.sessions': '["default", "segunda-tienda"]', 'healthcheck.interval': '"2s"', 'alerts.admin_phone': '"584140000000"', 'bot.restart_url': '"http://127.0.0.1:9/restart"' });
    const order = (n, more) => ({ number: `ORD-${100 + n}`, name: NAMES[n % 4], phone: `+5841255500${10 + n}`, ...more });
    await dog.tell(order(0));
    await dog.api('/api/recovery/pause', TOKENS.ana.secret, {});
    await waha.fault('status_422');
    await waha.session('default', { status: 'SCAN_QR_CODE' });
    for (let n = 1; n < 5; n += 1) await dog.tell(order(n));
    const failed = await dog.failed(4);
    const on = (id, verb, body) => dog.api(`/api/notifications/failed/${id}/${verb}`, TOKENS.luis.secret, body);
    await on(failed[0].id, 'claim', {});
    await on(failed[1].id, 'mark_resolved', { resolution_method: 'phone_call', note: 'Recoge mañana' });
    const incident = (await dog.api('/api/incidents')).items[0];
    paths = [
      '/panel/', '/panel/orders', '/panel/orders?q=nobody', '/panel/manual', '/panel/undecided', '/panel/failed', '/panel/failed?resolved=true',
      `/panel/failed/${failed[0].id}`, `/panel/failed/${failed[1].id}`, '/panel/incidents', `/panel/incidents/${incident.id}`, '/panel/alerts', '/panel/audit',
      '/panel/config', '/panel/logs', '/panel/failed/nothing-here', '/panel/orders?said=claimed', '/panel/orders?said=claimed_by_another',
    ];
  });
  after(async () => {
    await close();
    await dog?.stop();
    await waha?.stop();
  });

  for (const colorScheme of ['light', 'dark']) {
    for (const width of [320, 768, 1440]) {
      test(`${colorScheme}, ${width} wide`, async () => {
        // What is run here to look at a page, the page itself could not run: the test steps around its policy, the page does not.
        const page = await person(dog.panel, { width, colorScheme, bypassCSP: true });
        await page.goto(`${dog.panel}/panel/login`);
        await look(page, `login ${width}`);
        await page.fill('#token', TOKENS.ana.secret);
        await page.press('#token', 'Enter');
        await page.waitForURL('**/panel/');
        for (const path of paths) {
          await page.goto(dog.panel + path);
          await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.removeAttribute('name'); one.open = !one.matches('.more') || innerWidth >= 720; }));
          await look(page, path);
        }
        if (width < 720) {
          await page.goto(`${dog.panel}/panel/`);
          await page.click('details.more summary');
          await look(page, 'the menu');
        }
        assert.deepEqual(found.splice(0), []);
        assert.deepEqual(page.faults, []);
        await page.context().close();
      });
    }
  }

  test('text twice as large is readable, at every width', async () => {
    // As a reader sets it: what is measured in letters, the width at which the layout changes too, goes with it.
    const large = await launch('--blink-settings=defaultFontSize=32');
    for (const width of [640, 768, 1440]) {
      const page = await person(dog.panel, { name: 'ana', width, browser: large });
      for (const path of paths) {
        await page.goto(dog.panel + path);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${path} at ${width}, twice as large: ${wide} px too wide`);
        // Text that is cut off where nothing says so, or buttons that lie on each other.
        const cut = await page.evaluate(() => [...document.querySelectorAll('main .button, main h1, main h2, main p')].filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflow === 'visible' && one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.unseen')).map((one) => one.textContent.trim().slice(0, 40)));
        found.push(...cut.map((text) => `${path} at ${width}, twice as large: "${text}" is cut off`));
      }
      await page.context().close();
    }
    await large.close();
    assert.deepEqual(found.splice(0), []);
  });

  test('nothing moves for those who do not want that', async () => {
    const page = await person(dog.panel, { name: 'ana', reducedMotion: 'reduce' });
    for (const path of [...paths, '/panel/orders?said=claimed']) {
      await page.goto(dog.panel + path);
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0, path);
    }
    await page.context().close();
  });

  async function look(page, what) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) found.push(`${what}: ${wide} px too wide`);
    // A stranger's text stands in its line, and is as large as what it stands in.
    const odd = await page.evaluate(() => [...document.querySelectorAll('bdi')].filter((one) => (getComputedStyle(one).display !== 'inline' && !/flex|grid/.test(getComputedStyle(one.parentElement).display)) || getComputedStyle(one).fontSize !== getComputedStyle(one.parentElement).fontSize).length);
    if (odd > 0) found.push(`${what}: ${odd} texts are out of their line`);
    await page.evaluate((axe) => window.axe ?? (0, eval)(axe), AXE);
    const violations = await page.evaluate(async () => {
      await Promise.all(document.getAnimations().map((one) => one.finished));
      const told = await window.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] });
      return told.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} (${node.any.concat(node.all, node.none).map((check) => check.message).join('; ').slice(0, 200)})`).join(' | ')}`);
    });
    found.push(...violations.map((one) => `${what}: ${one}`));
  }
});

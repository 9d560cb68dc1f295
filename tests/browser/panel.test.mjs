// The panel in a real browser: what an admin does at night, before the real binary and the real look-alike of WAHA. No mocks.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { TOKENS, close, fakeWaha, launch, missing, person, sidecar, until, watch } from './harness.mjs';

const why = missing();
const JUAN = { number: 'ORD-123', name: 'Juan Pérez', phone: '+584241234567', total: '$45.00' };
const MARIA = { number: 'ORD-124', name: 'María Gómez', phone: '+584127654321', total: '$32.00' };
const LUZ = { number: 'ORD-125', name: 'Luz Rojas', phone: '+584165550000', total: '$120.50' };

/** What an open page hears of shows within two seconds. */
const LIVE = 2_000;

function isLive(what, { drawn, all }) {
  console.log(`  ${what}: shown ${Math.round(drawn)} ms after the page heard of it, ${Math.round(all)} ms after it was on record`);
  assert.ok(drawn >= 0 && drawn < LIVE, `${what} took ${drawn} ms`);
}

describe('the panel', { skip: why ?? false, concurrency: 1 }, () => {
  let waha;
  let dog;
  const people = [];
  /** Somebody before the panel; at the end of a test nothing may have gone wrong in their browser. */
  const somebody = async (options) => {
    const page = await person(dog.panel, options);
    people.push(page);
    return page;
  };
  /** Nothing goes out, and nothing is sent again by itself. */
  const outage = async () => {
    await dog.api('/api/recovery/pause', TOKENS.ana.secret, {});
    await waha.fault('status_422');
  };

  before(() => launch());
  after(() => close());
  const begin = async (settings, ...args) => {
    waha = await fakeWaha(...args);
    dog = await sidecar(waha, settings);
  };
  afterEach(async () => {
    try {
      for (const page of people.splice(0)) {
        assert.deepEqual(page.faults, []);
        await page.context().close();
      }
    } finally {
      await dog?.stop();
      await waha?.stop();
    }
  });

  test('one logs in with a token, and out; a wrong token and the bot stay out', async () => {
    await begin();
    const page = await somebody();
    await page.goto(`${dog.panel}/panel/orders`);
    assert.match(page.url(), /\/panel\/login\?next=/);
    await page.fill('#token', 'no-such-token-at-all');
    await page.click('text=Entrar');
    await page.waitForSelector('#wrong:has-text("no existe")');
    await page.fill('#token', TOKENS['shop-bot'].secret);
    await page.click('text=Entrar');
    await page.waitForSelector('#wrong:has-text("del bot")');
    await page.fill('#token', TOKENS.ana.secret);
    await page.click('text=Entrar');
    await page.waitForURL('**/panel/orders');
    const cookies = await page.context().cookies();
    const login = cookies.find((cookie) => cookie.name === 'watchdog_login');
    assert.deepEqual([login.httpOnly, login.sameSite, login.path], [true, 'Strict', '/']);
    await page.click('text=Salir');
    await page.waitForURL('**/panel/login');
    await page.goto(`${dog.panel}/panel/`);
    assert.match(page.url(), /\/panel\/login/);
  });

  test('an outage shows by itself: banner, counter, title; and so does its end', async () => {
    await begin({ 'alerts.admin_phone': '"584140000000"', 'recovery.pace': '600', 'healthcheck.interval': '"1s"' });
    const page = await somebody({ name: 'ana' });
    await dog.tell({ ...LUZ, number: 'ORD-1' });
    await page.waitForSelector('#status:has-text("En línea")');
    assert.equal(await page.locator('#banner').count(), 0);
    const banner = await watch(page, '#banner', { text: 'BOT COMPLETAMENTE INCOMUNICADO' });
    await waha.fault('status_422');
    await dog.tell(JUAN);
    await page.waitForSelector('#banner:has-text("BOT COMPLETAMENTE INCOMUNICADO")');
    // The status may have got worse since: what counts is its first step out of reach.
    const [incident] = (await dog.api('/api/incidents')).items;
    isLive('the outage', await banner(incident.timeline.find((step) => step.status.startsWith('incommunicado')).at));
    await page.waitForSelector('#affected:text-is("1")');
    await page.waitForSelector('#orders-count:text-is("1")');
    assert.match(await page.title(), /^\(1\) /);
    assert.match(await page.textContent('#alarm'), /BOT COMPLETAMENTE INCOMUNICADO. Órdenes afectadas: 1/);
    await page.click('text=Ver Órdenes Afectadas');
    await page.waitForURL('**/panel/orders');
    await page.waitForSelector('article:has-text("ORD-123"):has-text("Juan Pérez"):has-text("$45.00")');
    await waha.healFaults();
    await dog.tell({ ...MARIA, number: 'ORD-2' });
    await page.waitForSelector('#banner', { state: 'detached' });
    await page.waitForSelector('text=Todos los clientes están avisados');
    assert.equal((await waha.phone('584241234567')).length, 1, 'sent again once');
    await page.goto(`${dog.panel}/panel/incidents`);
    await page.waitForSelector('li:has-text("Incomunicado crítico")');
    await page.click('text=Ver Detalles');
    await page.waitForSelector('ol.story li >> nth=1');
  });

  test('a number is masked until somebody asks for it, which is written down', async () => {
    await begin();
    await outage();
    await dog.tell(JUAN);
    await dog.failed(1);
    const page = await somebody({ name: 'ana' });
    await page.goto(`${dog.panel}/panel/orders`);
    const html = () => page.content();
    assert.ok(!(await html()).includes('4241234567'));
    await page.waitForSelector('.phone:has-text("4567")');
    await page.click('text=Llamar Cliente');
    const tel = page.locator('a.button[href="tel:+584241234567"]');
    await tel.waitFor();
    assert.ok(await tel.evaluate((link) => link === document.activeElement), 'one more tap and it rings');
    await page.waitForSelector('.tag:has-text("La tienes tú")');
    const audit = (await dog.api('/api/audit')).items;
    assert.deepEqual(audit.slice(0, 2).map((line) => [line.who, line.action]), [['ana', 'claim'], ['ana', 'reveal_phone']]);
    const other = await somebody({ name: 'luis' });
    await other.goto(`${dog.panel}/panel/orders`);
    assert.ok(!(await other.content()).includes('4241234567'), 'shown to whoever asked, and nobody else');
    await other.goto(`${dog.panel}/panel/audit`);
    await other.waitForSelector('li:has-text("ana"):has-text("vio el teléfono del cliente"):has-text("ORD-123")');
  });

  test('marked contacted with a note, opened again', async () => {
    await begin();
    await outage();
    await dog.tell(JUAN);
    await dog.failed(1);
    const page = await somebody({ name: 'ana' });
    await page.goto(`${dog.panel}/panel/orders`);
    await page.click('summary:has-text("Marcar Contactado")');
    await page.selectOption('article select[name=method]', 'sms');
    await page.fill('article input[name=note]', 'Pasa mañana <b>a las 10</b>');
    await page.click('article .panelet button');
    await page.waitForSelector('#flash:has-text("Marcada como contactada")');
    await page.waitForSelector('text=Todos los clientes están avisados');
    await page.goto(`${dog.panel}/panel/failed?resolved=true`);
    await page.waitForSelector('li:has-text("Avisado por SMS (ana)")');
    await page.click('text=Ver Detalles');
    await page.waitForSelector('.card:has-text("Pasa mañana <b>a las 10</b>")');
    await page.click('text=Reabrir');
    await page.waitForSelector('#flash:has-text("Reabierta")');
    await page.click('#menu .main-links a:has-text("sin notificar")');
    await page.waitForSelector('article:has-text("ORD-123")');
    assert.deepEqual((await dog.api('/api/audit')).items.slice(0, 2).map((line) => line.action), ['reopen', 'resolve']);
  });

  test('sent again, truly: it says how that ended; two at once are one message', async () => {
    await begin();
    await outage();
    await dog.tell(JUAN);
    await dog.failed(1);
    const [ana, luis] = [await somebody({ name: 'ana' }), await somebody({ name: 'luis' })];
    await ana.goto(`${dog.panel}/panel/orders`);
    await ana.click('article >> text=Re-intentar');
    await ana.waitForSelector('#flash:has-text("No salió. La sesión de WhatsApp no está funcionando")');
    await waha.healFaults();
    await waha.fault({ delay_ms: 700 });
    await luis.goto(`${dog.panel}/panel/orders`);
    await Promise.all([ana, luis].map((page) => page.click('article >> text=Re-intentar')));
    await Promise.all([ana, luis].map((page) => page.waitForSelector('#flash:has-text("WAHA la aceptó")')));
    assert.equal((await waha.phone('584241234567')).length, 1, 'the phone shows one message');
    await ana.waitForSelector('text=Todos los clientes están avisados');
  });

  test('two admins see each other within two seconds', async () => {
    await begin();
    await outage();
    await dog.tell(JUAN);
    await dog.failed(1);
    const [ana, luis] = [await somebody({ name: 'ana' }), await somebody({ name: 'luis' })];
    await Promise.all([ana, luis].map((page) => page.goto(`${dog.panel}/panel/orders`)));
    await luis.waitForSelector('article:has-text("ORD-123")');
    await luis.click('summary:has-text("Marcar Contactado")');
    await luis.fill('article input[name=note]', 'a medio escribir');
    const claimed = await watch(luis, '.tag', { text: 'La tomó ana' });
    await ana.click('article >> text=Tomar');
    await ana.waitForSelector('.tag:has-text("La tienes tú")');
    isLive('a claim', await claimed((await dog.api('/api/audit')).items[0].at));
    assert.equal(await luis.inputValue('article input[name=note]'), 'a medio escribir', 'what is being typed stays');
    assert.ok(await luis.locator('article input[name=note]').evaluate((input) => input === document.activeElement));
    const second = await watch(luis, 'article', { text: 'ORD-124' });
    await dog.tell(MARIA);
    const records = await dog.failed(2);
    isLive('an order', await second(records.find((one) => one.order_number === 'ORD-124').created_at));
    assert.equal(await luis.inputValue('article input[name=note]'), 'a medio escribir');
    await ana.click('article:has-text("ORD-123") summary:has-text("Marcar Contactado")');
    const settled = await watch(luis, 'article', { text: 'ORD-123', gone: true });
    await ana.click('article:has-text("ORD-123") .panelet button');
    await luis.waitForSelector('article:has-text("ORD-123")', { state: 'detached' });
    isLive('a settled order', await settled((await dog.api('/api/audit')).items[0].at));
  });

  test('several at once: taken, marked', async () => {
    await begin();
    await outage();
    for (const order of [JUAN, MARIA, LUZ]) await dog.tell(order);
    await dog.failed(3);
    const page = await somebody({ name: 'ana' });
    await page.goto(`${dog.panel}/panel/orders`);
    await page.check('article:has-text("ORD-123") input[name=pick]');
    await page.check('article:has-text("ORD-125") input[name=pick]');
    await page.waitForSelector('text=Elegidas: 2');
    await page.click('#bulk >> text=Tomar');
    await until('both are taken', async () => (await page.locator('.tag:has-text("La tienes tú")').count()) === 2);
    await page.selectOption('select[name=claimed]', 'nobody');
    await page.waitForSelector('article:has-text("ORD-125")', { state: 'detached' });
    assert.equal(await page.locator('article').count(), 1);
    await page.goto(`${dog.panel}/panel/orders?sort=amount`);
    assert.match(await page.textContent('article >> nth=0'), /ORD-125/);
    await page.check('[data-all]');
    await page.click('#bulk >> text=Marcar Contactadas');
    await page.waitForSelector('text=Todos los clientes están avisados');
  });

  test('found by order, name, and digits of the number', async () => {
    await begin();
    await outage();
    for (const order of [JUAN, MARIA, LUZ]) await dog.tell(order);
    await dog.failed(3);
    const page = await somebody({ name: 'vera' });
    for (const [words, order] of [['ord-124', 'ORD-124'], ['gómez', 'ORD-124'], ['0000', 'ORD-125']]) {
      await page.goto(`${dog.panel}/panel/orders`);
      await page.fill('input[name=q]', words);
      await page.press('input[name=q]', 'Enter');
      await page.waitForURL(/q=/);
      assert.equal(await page.locator('article').count(), 1, words);
      await page.waitForSelector(`article:has-text("${order}")`);
    }
    await page.goto(`${dog.panel}/panel/orders?q=nobody`);
    await page.waitForSelector('text=Ninguna orden coincide');
  });

  test('a viewer looks, and has no buttons', async () => {
    await begin();
    await outage();
    await dog.tell(JUAN);
    await dog.failed(1);
    const page = await somebody({ name: 'vera' });
    for (const path of ['/panel/', '/panel/orders', '/panel/failed', '/panel/audit']) {
      await page.goto(dog.panel + path);
      const posts = await page.locator('main form[method=post]').count();
      assert.equal(posts, 0, path);
    }
    await page.goto(`${dog.panel}/panel/orders`);
    await page.waitForSelector('article:has-text("ORD-123")');
  });

  test('a session is probed and restarted, or it says why that cannot help', async () => {
    await begin({ 'healthcheck.interval': '"1s"' });
    const page = await somebody({ name: 'ana' });
    await page.click('text=Forzar Healthcheck');
    await page.waitForSelector('#flash:has-text("la sesión funciona")');
    await waha.session('default', { status: 'FAILED' });
    await page.waitForSelector('.signs li:has-text("falló o fue desvinculada")');
    await page.click('summary:has-text("Reiniciar WAHA")');
    await page.click('text=Sí, reiniciar');
    await page.waitForSelector('#flash:has-text("Sesión reiniciada")');
    await page.waitForSelector('.signs li:has-text("La sesión funciona")');
    await waha.session('default', { status: 'SCAN_QR_CODE' });
    await page.waitForSelector('summary.off:has-text("Reiniciar WAHA")');
    await page.click('summary:has-text("Reiniciar WAHA")');
    await page.waitForSelector('.panelet:has-text("Aquí no ayuda"):has-text("escanea el QR")');
    await page.click('summary:has-text("Reiniciar Bot")');
    await page.waitForSelector('.panelet:has-text("bot.restart_url")');
    await page.click('text=Pausar');
    await page.waitForSelector('#flash:has-text("Recuperación en pausa")');
    await page.click('text=Reanudar');
    await page.waitForSelector('#flash:has-text("Recuperación reanudada")');
    await page.click('text=Ver Logs');
    await page.waitForSelector('ol.log li:has-text("the session is restarted by hand")');
  });

  test('what may have arrived waits for a person, who is warned', async () => {
    await begin({ 'retry.ambiguous': '"hold"' }, '--engine', 'WEBJS');
    await dog.api('/api/recovery/pause', TOKENS.ana.secret, {});
    await waha.fault({ status_500: 'Timed Out' });
    await dog.tell(JUAN);
    await dog.failed(1);
    const page = await somebody({ name: 'ana' });
    await page.goto(`${dog.panel}/panel/orders`);
    await page.click('article summary:has-text("Re-intentar")');
    await page.waitForSelector('.panelet:has-text("puede recibirlo dos veces")');
  });

  test('it speaks three languages: the browser\'s, or the one that is chosen', async () => {
    await begin();
    const page = await somebody({ language: 'pt-BR' });
    await page.goto(`${dog.panel}/`);
    await page.waitForSelector('button:has-text("Entrar")');
    assert.equal(await page.getAttribute('html', 'lang'), 'pt');
    await page.fill('#token', TOKENS.ana.secret);
    await page.press('#token', 'Enter');
    await page.waitForSelector('text=O bot está falando?');
    await page.click('.top button[value=en]');
    await page.waitForSelector('text=Does the bot speak?');
    await page.goto(`${dog.panel}/panel/orders`);
    await page.waitForSelector('text=All customers have been told.');
    await page.click('.top button[value=es]');
    await page.waitForSelector('text=Todos los clientes están avisados.');
  });

  test('by keyboard alone', async () => {
    await begin();
    await outage();
    await dog.tell(JUAN);
    await dog.failed(1);
    const page = await somebody();
    await page.goto(`${dog.panel}/panel/orders`);
    // The browser gives the field its focus a moment after the page has loaded.
    await page.waitForFunction(() => document.activeElement?.id === 'token');
    await page.keyboard.type(TOKENS.ana.secret);
    await page.keyboard.press('Enter');
    await page.waitForSelector('article:has-text("ORD-123")');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Saltar al contenido');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    const reach = async (text) => {
      for (let steps = 0; steps < 60; steps += 1) {
        await page.keyboard.press('Tab');
        const here = await page.evaluate(() => {
          const one = document.activeElement;
          const style = getComputedStyle(one);
          return { text: one.textContent.trim(), ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
        });
        assert.ok(here.ring, `the focus on ${JSON.stringify(here.text)} is seen`);
        if (here.text === text) return;
      }
      assert.fail(`${text} cannot be reached`);
    };
    await reach('Tomar');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.tag:has-text("La tienes tú")');
    await page.evaluate(() => document.getElementById('main').focus());
    await reach('Marcar Contactado');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.type('por teclado');
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=Todos los clientes están avisados');
  });

  test('without script one reads and acts all the same', async () => {
    await begin();
    await outage();
    for (const order of [JUAN, MARIA]) await dog.tell(order);
    await dog.failed(2);
    const page = await somebody({ name: 'ana', javaScriptEnabled: false });
    await page.click('.main-links a:has-text("Órdenes")');
    await page.click('article:has-text("ORD-123") >> text=Llamar Cliente');
    await page.waitForSelector('a[href="tel:+584241234567"]');
    assert.match(await page.textContent('#flash'), /Aquí está el número/);
    await page.check('article:has-text("ORD-124") input[name=pick]');
    await page.click('#bulk >> text=Marcar Contactadas');
    await page.waitForSelector('article:has-text("ORD-124")', { state: 'detached' });
    await page.waitForSelector('article:has-text("ORD-123")');
  });

  test('what strangers write is text, and runs nowhere', async () => {
    await begin();
    await outage();
    const long = 'ñandú '.repeat(1700);
    const hostile = [
      { ...JUAN, number: 'ORD-<img src=x onerror=alert(1)>', name: '<img src=x onerror="alert(document.cookie)"><script>alert(2)</script>' },
      { ...MARIA, number: `"'><svg onload=alert(3)>`, id: `"' onmouseover='alert(4)`, name: '\u202Eabc\u2066 مرحبا بالعالم 👩‍🍳🇻🇪' },
      { ...LUZ, number: 'ORD-{{7*7}}', name: long, total: '"><style>*{display:none}</style>' },
    ];
    for (const order of hostile) await dog.tell(order);
    const failed = await dog.failed(3);
    const page = await somebody({ name: 'ana', width: 320 });
    const paths = ['/panel/', '/panel/orders', '/panel/failed', '/panel/audit', '/panel/alerts', ...failed.map((one) => `/panel/failed/${one.id}`)];
    for (const path of paths) {
      await page.goto(dog.panel + path);
      assert.equal(await page.locator('main img, main script, main style, main svg[onload]').count(), 0, path);
      const handlers = await page.evaluate(() => [...document.querySelectorAll('*')].filter((one) => [...one.attributes].some((at) => at.name.startsWith('on') || at.name === 'style')).length);
      assert.equal(handlers, 0, path);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} px too wide`);
    }
    await page.goto(`${dog.panel}/panel/orders`);
    await page.waitForSelector('article:has-text("<img src=x onerror=")');
    const text = await page.textContent('#rows');
    assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(text), 'nothing turns its neighbours round');
    assert.ok(text.includes('👩‍🍳') && text.includes('ORD-{{7*7}}') && text.length < 6_000);
    const links = await page.locator('a:has-text("Ver Orden")').evaluateAll((all) => all.map((link) => link.href));
    for (const link of links) assert.match(link, /^https:\/\/shop\.example\.com\/orders\/[\w%.~-]+$/);
  });

  test('channels: how they are, and a test that says what came of it', async () => {
    await begin({ 'alerts.admin_phone': '"584140000000"' });
    const page = await somebody({ name: 'ana' });
    await page.goto(`${dog.panel}/panel/alerts`);
    await page.waitForSelector('.outlets li:has-text("WhatsApp"):has-text("Sin usar aún"):has-text("nunca")');
    await page.waitForSelector('.outlets li:has-text("PagerDuty"):has-text("Sin configurar")');
    assert.equal(await page.locator('.outlets form').count(), 1, 'only what is configured can be tried');
    await page.click('.outlets li:has-text("WhatsApp") >> text=Probar');
    await page.waitForSelector('#flash:has-text("Prueba en camino")');
    await page.waitForSelector('.outlets li:has-text("WhatsApp"):has-text("Funciona")');
    await page.waitForSelector('li.card:has-text("Prueba de un canal"):has-text("Avisada")');
    assert.equal((await waha.phone('584140000000')).length, 1);
    await page.goto(`${dog.panel}/panel/audit`);
    await page.waitForSelector('li:has-text("ana"):has-text("probó los canales de aviso")');
    const viewer = await somebody({ name: 'vera' });
    await viewer.goto(`${dog.panel}/panel/alerts`);
    await viewer.waitForSelector('.outlets li:has-text("WhatsApp")');
    assert.equal(await viewer.locator('.outlets form').count(), 0);
  });

  test('a page that nobody looks at holds no connection', async () => {
    await begin();
    const page = await somebody({ name: 'ana' });
    const listeners = () => page.evaluate(() => window.sources.filter((one) => one.readyState !== EventSource.CLOSED).length);
    await until('it listens', async () => (await listeners()) === 1);
    const hide = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await hide(true);
    await until('it listens no more', async () => (await listeners()) === 0);
    await dog.tell({ ...LUZ, number: 'ORD-1' });
    await hide(false);
    await until('it listens again', async () => (await listeners()) === 1);
    await page.waitForSelector('#status:has-text("En línea")');
  });

  test('a watchdog that is gone is told, and its return too', async () => {
    await begin();
    const page = await somebody({ name: 'ana' });
    await page.route('**/panel/', (route) => route.abort());
    await page.evaluate(() => { Date.now = ((now) => () => now() + 60_000)(Date.now); });
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await page.waitForSelector('#stale:has-text("Sin conexión con el watchdog")');
    await page.unroute('**/panel/');
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await until('the note goes', async () => (await page.textContent('#stale')) === '');
  });
});

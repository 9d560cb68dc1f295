// The pictures of the README: `node screenshots.mjs` writes docs/pictures from an outage as it happens, before the real binary.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOKENS, close, fakeWaha, launch, missing, person, sidecar, until } from './harness.mjs';

if (missing()) process.exit(1);
const folder = join(dirname(fileURLToPath(import.meta.url)), '../../docs/pictures');
await mkdir(folder, { recursive: true });
await launch();
const waha = await fakeWaha();
const dog = await sidecar(waha, { 'alerts.admin_phone': '"584140000000"', 'healthcheck.interval': '"2s"' });
const NAMES = ['María González', 'José Pérez', 'Ana Núñez', 'Luis Rojas', 'Carmen Blanco', 'Pedro Salazar', 'Sofía Ibáñez'];
const order = (n, more) => ({ number: `ORD-${120 + n}`, name: NAMES[n % NAMES.length], phone: `+5841255510${10 + n}`, total: `$${(45 + 13.75 * n).toFixed(2)}`, ...more });
try {
  for (let n = 0; n < 12; n += 1) await dog.tell(order(n));
  await dog.api('/api/recovery/pause', TOKENS.ana.secret, {});
  await waha.fault('status_422');
  await waha.session('default', { status: 'SCAN_QR_CODE' });
  for (let n = 12; n < 16; n += 1) await dog.tell(order(n, n === 13 ? { type: 'ORDER_CONFIRMED' } : {}));
  const failed = await dog.failed(4);
  await until('the bot is known to be cut off', async () => (await dog.api('/api/bot/status')).status === 'incommunicado_critico');
  await until('the session is known to want a code', async () => (await dog.api('/api/bot/status')).healthcheck_failing);
  await dog.api(`/api/notifications/failed/${failed[2].id}/claim`, TOKENS.luis.secret, {});
  await dog.api('/api/recovery/resume', TOKENS.ana.secret, {});
  const shoot = async (name, path, options, clip) => {
    const page = await person(dog.panel, { name: 'ana', ...options });
    await page.goto(dog.panel + path);
    await page.waitForSelector('#banner');
    await page.screenshot({ path: join(folder, `${name}.png`), ...clip });
    await page.context().close();
  };
  await shoot('status', '/panel/', { width: 1440, height: 960 });
  await shoot('call-list', '/panel/orders', { width: 1440, height: 960 });
  await shoot('phone', '/panel/', { width: 390, height: 844, deviceScaleFactor: 2, colorScheme: 'dark' });
} finally {
  await close();
  await dog.stop();
  await waha.stop();
}

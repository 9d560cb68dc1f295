// The panel's script. Pages are whole without it: it looks again when something moved, and posts forms without leaving the page. It holds no
// data and makes no markup: everything shown was made, and escaped, by the server.
(() => {
  'use strict';

  const REFRESH_EVERY = 15_000; // ages grow, whatever moves
  const GAP = 700; // between two refreshes
  const LOST_AFTER = 12_000; // without an answer

  const words = document.body.dataset;
  let refreshing = false;
  let again = false;
  let latest = 0; // pages are numbered in the order they were asked for
  let shown = 0;
  let heard = Date.now();
  let timer = 0;

  // ---- Putting a newer page in place of this one ---------------------------------------------------------

  // A form's own names (`id`, `method`) hide behind fields of those names: attributes are asked for as such.
  const idOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.getAttribute('id')) || '';

  /** Makes `old` like `fresh`, touching only what differs: focus, selection, open parts and what was typed stay. */
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || idOf(old) !== idOf(fresh)) {
      old.replaceWith(document.importNode(fresh, true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.isEqualNode(fresh)) return;
    const typed = old.matches('input:not([type=hidden]), select, textarea');
    const kept = (name) => (name === 'open' && old.localName === 'details') || name === 'aria-busy' || (typed && (name === 'value' || name === 'checked' || name === 'hidden'));
    for (const { name, value } of fresh.attributes) {
      if (!kept(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!kept(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    if (old.localName === 'textarea' || old === document.activeElement && old.localName === 'select') return;
    const named = new Map();
    for (const child of old.children) if (idOf(child)) named.set(idOf(child), child);
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = idOf(child) ? named.get(idOf(child)) : null;
      if (same) {
        if (same !== at) old.insertBefore(same, at); else at = at.nextSibling;
        morph(same, child);
      } else if (at && !idOf(at) && !idOf(child) && at.nodeType === child.nodeType && at.nodeName === child.nodeName) {
        const here = at;
        at = at.nextSibling;
        morph(here, child);
      } else {
        old.insertBefore(document.importNode(child, true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  /** Moments in the reader's own time. */
  function localize(root) {
    const day = new Intl.DateTimeFormat(root.lang || document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'medium' });
    for (const one of root.querySelectorAll('time[datetime]')) {
      const date = new Date(one.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      const text = day.format(date);
      if ('clock' in one.dataset) one.textContent = text;
      one.title = `${text} · ${one.dateTime}`;
    }
  }

  function put(page, keepFlash) {
    localize(page.documentElement);
    const focused = document.activeElement;
    if (document.title !== page.title) document.title = page.title;
    document.documentElement.lang = page.documentElement.lang;
    const meta = document.querySelector('meta[name=csrf]');
    const fresh = page.querySelector('meta[name=csrf]');
    if (meta && fresh) meta.content = fresh.content;
    const flash = page.getElementById('flash');
    if (keepFlash && flash) flash.replaceChildren(...[...document.getElementById('flash').childNodes].map((node) => node.cloneNode(true)));
    for (const part of ['header.top', '#menu', '#main', '.foot']) {
      const [mine, theirs] = [document.querySelector(part), page.querySelector(part)];
      if (mine && theirs) morph(mine, theirs);
    }
    // What had the focus is gone: the reader goes on from the content, not from the top.
    if (focused && focused !== document.body && !focused.isConnected) document.getElementById('main').focus({ preventScroll: true });
    count();
  }

  // ---- Looking again --------------------------------------------------------------------------------------

  function lost(isLost) {
    const note = document.getElementById('stale');
    const text = isLost ? words.lost : '';
    if (note.textContent !== text) note.textContent = text;
  }

  function soon() {
    if (refreshing) {
      again = true;
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(0, GAP - (Date.now() - asked)));
  }
  let asked = 0;

  async function refresh() {
    if (document.hidden || !document.getElementById('menu')) return;
    refreshing = true;
    asked = Date.now();
    const number = ++latest;
    try {
      const answer = await fetch(here(), { headers: { 'X-Panel-Refresh': '1' }, signal: AbortSignal.timeout(10_000) });
      const text = await answer.text();
      if (new URL(answer.url).pathname === '/panel/login') return location.reload();
      heard = Date.now();
      lost(false);
      // A page that was asked for before a deed must not undo what came after it.
      if (answer.ok && number > shown) {
        shown = number;
        put(new DOMParser().parseFromString(text, 'text/html'), true);
      }
    } catch {
      if (Date.now() - heard > LOST_AFTER) lost(true);
    } finally {
      refreshing = false;
      clearTimeout(timer);
      timer = setTimeout(refresh, REFRESH_EVERY);
      if (again) {
        again = false;
        soon();
      }
    }
  }

  /** This page, without what was said once. */
  function here(address = location.href) {
    const url = new URL(address);
    url.searchParams.delete('said');
    url.searchParams.delete('why');
    url.hash = '';
    return url.href;
  }

  // ---- Doing ----------------------------------------------------------------------------------------------

  async function post(form, button) {
    const data = new URLSearchParams(new FormData(form, button));
    const target = button?.getAttribute('formaction') ?? form.getAttribute('action');
    const label = button && [...button.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.nodeValue.trim());
    const old = label?.nodeValue;
    form.dataset.busy = '';
    button?.setAttribute('aria-busy', 'true');
    if (label) label.nodeValue = words.busy;
    const place = form.closest('[id^=row-], [id^=line-]')?.id;
    try {
      const answer = await fetch(target, { method: 'POST', body: data, redirect: 'follow' });
      const text = await answer.text();
      const address = new URL(answer.url);
      if (address.pathname === '/panel/login') return location.assign(address.href);
      heard = Date.now();
      lost(false);
      const page = new DOMParser().parseFromString(text, 'text/html');
      if (!page.getElementById('menu')) return say(page.querySelector('.lead')?.textContent ?? words.failed);
      shown = ++latest;
      for (const box of idOf(form) === 'bulk' ? chosen() : []) box.checked = false;
      const details = form.closest('details');
      if (details) details.open = false;
      history.replaceState(null, '', here(address.href));
      put(page, false);
      settle(place);
    } catch {
      say(words.failed);
      soon();
    } finally {
      delete form.dataset.busy;
      button?.removeAttribute('aria-busy');
      if (label?.isConnected && label.nodeValue === words.busy) label.nodeValue = old;
    }
  }

  /** After a deed the focus is where one goes on: on the number to call, else where it was. */
  function settle(place) {
    const row = place && document.getElementById(place);
    const tel = row?.querySelector('a.button[href^="tel:"]');
    if (tel && !row.contains(document.activeElement)) tel.focus();
    else if (document.activeElement === document.body) document.getElementById('main').focus({ preventScroll: true });
    const flash = document.getElementById('flash');
    if (flash.firstChild && flash.getBoundingClientRect().bottom < 60) flash.scrollIntoView({ block: 'center' });
  }

  function say(text) {
    const line = document.createElement('p');
    line.className = 'flash warn';
    line.textContent = text;
    document.getElementById('flash').replaceChildren(line);
  }

  document.addEventListener('submit', (event) => {
    const form = event.target;
    if ('plain' in form.dataset || !document.getElementById('menu')) return;
    if (form.getAttribute('method') !== 'post') return;
    event.preventDefault();
    if (!('busy' in form.dataset)) post(form, event.submitter);
  });

  // ---- Choosing several -----------------------------------------------------------------------------------

  const boxes = () => [...document.querySelectorAll('input[name=pick]')];
  const chosen = () => boxes().filter((box) => box.checked);

  function count() {
    const all = document.querySelector('[data-all]');
    const note = document.querySelector('[data-chosen]');
    if (!all || !note) return;
    const [many, most] = [chosen().length, boxes().length];
    all.hidden = false;
    all.checked = many > 0 && many === most;
    all.indeterminate = many > 0 && many < most;
    note.textContent = many > 0 ? `${note.dataset.chosen} ${many}` : note.dataset.none;
    all.form.toggleAttribute('data-none', many === 0);
  }

  document.addEventListener('change', (event) => {
    const one = event.target;
    if ('all' in one.dataset) for (const box of boxes()) box.checked = one.checked;
    if ('all' in one.dataset || one.name === 'pick') count();
    if (one.localName === 'select' && 'auto' in (one.form?.dataset ?? {})) one.form.requestSubmit();
  });

  // A part that was opened is closed by a click elsewhere, or Escape.
  document.addEventListener('click', (event) => {
    for (const one of document.querySelectorAll('details.more[open]')) if (!one.contains(event.target)) one.open = false;
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    const open = document.activeElement?.closest('details[open]');
    if (open) {
      open.open = false;
      open.querySelector('summary').focus();
    }
  });

  // ---- Beginning ------------------------------------------------------------------------------------------

  document.documentElement.classList.add('js');
  localize(document.documentElement);
  count();
  if (new URL(location.href).searchParams.has('said')) history.replaceState(null, '', here());
  if (!document.getElementById('menu')) return;
  // A page that nobody looks at does not look again either, and must not hold one of the few connections that a browser makes to a host.
  let events = null;
  function listen() {
    if (document.hidden) {
      events?.close();
      events = null;
    } else if (!events) {
      events = new EventSource('/api/events');
      for (const name of [...words.events.split(' '), 'RESYNC']) events.addEventListener(name, () => { heard = Date.now(); soon(); });
      events.addEventListener('open', soon);
      events.addEventListener('error', soon);
    }
  }
  listen();
  document.addEventListener('visibilitychange', () => {
    listen();
    if (!document.hidden) soon();
  });
  window.addEventListener('pageshow', (event) => { if (event.persisted) soon(); });
  timer = setTimeout(refresh, REFRESH_EVERY);
})();

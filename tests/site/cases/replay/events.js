// What happens on the page, told to the server event by event: POST /note with the run (first part of the
// path), the document, its number and the words.
(() => {
  const run = location.pathname.split('/')[1];
  const name = location.pathname.split('/').pop() + location.search + location.hash;
  const pending = new Set();
  let number = 0;

  window.note = (text) => {
    const body = JSON.stringify([run, name, performance.timeOrigin, number++, String(text)]);
    const sent = fetch('/note', {method: 'POST', keepalive: true, body}).catch(() => {});
    pending.add(sent);
    sent.then(() => pending.delete(sent));
  };
  window.flushed = async () => {
    await new Promise((done) => setTimeout(done, 60));
    while (pending.size > 0) await Promise.all(pending);
    return true;
  };

  const label = (n) => (n && n.id ? n.id : n && n.nodeType === 9 ? 'document' : n ? n.localName : 'none');
  const keys = (e) => (e.altKey ? 'A' : '') + (e.ctrlKey ? 'C' : '') + (e.metaKey ? 'M' : '') + (e.shiftKey ? 'S' : '');
  const pointer = (e) => {
    const box = e.composedPath()[0].getBoundingClientRect ? e.composedPath()[0].getBoundingClientRect() : {x: 0, y: 0};
    const at = `${Math.round(e.clientX - box.x)},${Math.round(e.clientY - box.y)}`;
    return `${e.button}/${e.buttons} x${e.detail} ${at} ${e.pointerType ?? ''} ${keys(e)}`;
  };
  const key = (e) => `${e.key} ${e.code} ${e.keyCode} ${e.location} ${keys(e)} ${e.repeat ? 'again' : ''}`;
  const input = (e) => `${e.inputType ?? ''} ${e.data ?? ''}`;
  const value = (e) => {
    const t = e.composedPath()[0];
    return t.type === 'checkbox' || t.type === 'radio' ? t.checked : t.isContentEditable ? t.innerText : t.value;
  };
  const says = {
    pointerdown: pointer, pointerup: pointer, mousedown: pointer, mouseup: pointer, click: pointer, auxclick: pointer,
    dblclick: pointer, contextmenu: pointer, touchstart: () => '', touchend: () => '',
    keydown: key, keyup: key, beforeinput: input, input: (e) => `${input(e)} ${value(e)}`, change: value,
    focusin: () => '', focusout: () => '', submit: () => '',
  };
  window.listen = (to) => {
    for (const type of Object.keys(says))
      to.addEventListener(type, (e) => {
        note(`${type} ${label(e.composedPath()[0])} ${says[type](e)} ${e.isTrusted ? '' : 'made'}`.replace(/ +/g, ' ').trim());
      }, {capture: true});
    to.addEventListener('mouseup', (e) => e.button > 2 && e.preventDefault()); // back and forward
  };
  listen(document);
})();

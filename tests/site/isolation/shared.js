// Tells everybody who connects who has been here.
const seen = new Set();
onconnect = e => {
  const port = e.ports[0];
  port.onmessage = m => {
    seen.add(m.data);
    port.postMessage([...seen].sort());
  };
};

const q = new URL(location.href).searchParams;
await import(q.get('b') + '/probe/probe.js');
probe(q.get('n'), q.get('b'), q.get('v'));

'use strict';

const form = document.getElementById('join');
const steps = document.querySelectorAll('.steps li');

function show(n) {
    for (const s of form.querySelectorAll('section'))
        s.hidden = Number(s.dataset.step) !== n;
    steps.forEach((li, i) => li.classList.toggle('on', i === n - 1));
}

document.getElementById('to2').addEventListener('click', () => {
    const ok = form.name.value.trim().length >= 3 && /^[^@\s]+@[^@\s]+\.[a-z]{2,}$/i.test(form.email.value);
    document.getElementById('error1').textContent = ok ? '' : 'A name and a valid e-mail address, please.';
    if (ok)
        show(2);
});
document.getElementById('back').addEventListener('click', () => show(1));
document.getElementById('to3').addEventListener('click', () => {
    const ok = form.boat.value.trim() && form.kind.value;
    document.getElementById('error2').textContent = ok ? '' : 'A name and a kind of boat, please.';
    if (!ok)
        return;
    const list = document.getElementById('summary');
    list.replaceChildren();
    for (const [k, v] of new FormData(form)) {
        const dt = document.createElement('dt');
        const dd = document.createElement('dd');
        dt.textContent = k;
        dd.textContent = v;
        list.append(dt, dd);
    }
    show(3);
});
form.addEventListener('submit', async (e) => {
    e.preventDefault();
    if (!form.terms.checked) {
        document.getElementById('error3').textContent = 'Please accept the rules.';
        return;
    }
    const answer = await fetch('/api/members', { method: 'POST', body: new URLSearchParams(new FormData(form)) });
    const body = await answer.json();
    if (answer.ok)
        location.href = `/welcome?member=${body.member}`;
    else
        document.getElementById('error3').textContent = body.error;
});

'use strict';
// Reading time and progress, as such sites have them.
const words = document.querySelector('article').textContent.split(/\s+/).length;
const byline = document.querySelector('.byline');
const minutes = document.createElement('span');
minutes.className = 'minutes';
minutes.textContent = `, ${Math.ceil(words / 230)} minutes`;
byline.append(minutes);
const bar = document.createElement('div');
bar.className = 'progress';
document.body.append(bar);
addEventListener('scroll', () => {
    bar.style.width = `${(100 * scrollY) / (document.body.scrollHeight - innerHeight)}%`;
});

// Renders the catalogue from /items.json: the page itself holds no item, as on most shops today.
'use strict';

const perPage = 12;

function picture(item) {
    const hue = (item.sku * 47) % 360;
    const sails = 2 + (item.sku % 3);
    let shapes = '';
    for (let i = 0; i < sails; i++)
        shapes += `<path d="M${60 + i * 44} 90 v-${40 + ((item.sku * (i + 3)) % 30)} l30 ${40}z" fill="hsl(${(hue + i * 25) % 360} 60% ${55 + i * 8}%)"/>`;
    return `<svg viewBox="0 0 240 120" role="img" aria-label="${item.name}"><rect width="240" height="120" fill="hsl(${hue} 45% 92%)"/>${shapes}<path d="M30 92h180l-24 16h-132z" fill="hsl(${hue} 35% 35%)"/></svg>`;
}

function card(item) {
    const box = document.createElement('a');
    box.className = 'item';
    box.href = `/item.html?sku=${item.sku}`;
    box.style.color = 'inherit';
    box.style.textDecoration = 'none';
    box.dataset.sku = item.sku;
    box.innerHTML = picture(item) + '<div><h2></h2><span class="price"></span><br><span class="stock"></span></div>';
    box.querySelector('h2').textContent = item.name;
    box.querySelector('.price').textContent = `£${item.price.toFixed(2)}`;
    const stock = box.querySelector('.stock');
    stock.textContent = item.stock > 0 ? `${item.stock} in stock` : 'sold out';
    stock.classList.toggle('none', item.stock === 0);
    return box;
}

async function main() {
    const page = Math.max(1, Number(new URLSearchParams(location.search).get('page')) || 1);
    const items = await (await fetch('/items.json')).json();
    const pages = Math.ceil(items.length / perPage);
    const list = document.getElementById('items');
    list.replaceChildren(...items.slice((page - 1) * perPage, page * perPage).map(card));
    list.dataset.ready = 'yes';
    document.getElementById('count').textContent = `${items.length} items, page ${page} of ${pages}`;
    const nav = document.getElementById('pages');
    for (let i = 1; i <= pages; i++) {
        const a = document.createElement('a');
        a.href = `/?page=${i}`;
        a.textContent = i;
        if (i === page)
            a.setAttribute('aria-current', 'page');
        nav.append(a);
    }
    if (page < pages) {
        const next = document.createElement('a');
        next.href = `/?page=${page + 1}`;
        next.rel = 'next';
        next.textContent = 'Next';
        nav.append(next);
    }
}

main();

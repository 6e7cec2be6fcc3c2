(function () {
  var rows = [].slice.call(document.querySelectorAll('#tasks tbody tr'));
  var text = document.getElementById('find'), shown = document.getElementById('shown'), state = '';
  if (!text) return;
  function show() {
    var q = text.value.toLowerCase(), n = 0;
    rows.forEach(function (r) {
      var yes = (!state || r.dataset.s === state) && (!q || r.textContent.toLowerCase().indexOf(q) >= 0);
      r.style.display = yes ? '' : 'none';
      n += yes;
    });
    shown.textContent = n + ' shown';
  }
  text.addEventListener('input', show);
  [].forEach.call(document.querySelectorAll('.filter button'), function (b) {
    b.addEventListener('click', function () {
      state = b.dataset.s;
      [].forEach.call(document.querySelectorAll('.filter button'), function (x) { x.classList.toggle('on', x === b); });
      show();
    });
  });
})();

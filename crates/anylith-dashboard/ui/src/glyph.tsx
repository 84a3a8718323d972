const FORMS = [
  'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18z',
  'M4.5 4.5h15v15h-15z',
  'M12 3.5l9.5 17h-19z',
  'M12 2.5l9.5 9.5l-9.5 9.5l-9.5-9.5z',
  'M7 3.5h10l5 8.5l-5 8.5h-10l-5-8.5z',
  'M12 2.5l9.5 7l-3.6 11.2h-11.8l-3.6-11.2z',
  'M12 2l2.9 6.6l7.1.7l-5.4 4.7l1.6 7l-6.2-3.7l-6.2 3.7l1.6-7l-5.4-4.7l7.1-.7z',
  'M9 3h6v6h6v6h-6v6h-6v-6h-6v-6h6z',
  'M3 5h18l-4.5 14h-9z',
  'M3 12a9 9 0 0 1 18 0v8h-18z',
];

/** The shape of a component: the same everywhere, and another than that of any other, as far as there are as many. */
export function Glyph({ index }: { index: number }) {
  const hue = (index + Math.floor(index / FORMS.length) * 3) % FORMS.length;
  return (
    <svg class={`glyph hue-${hue}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={FORMS[index % FORMS.length]} />
    </svg>
  );
}

/** The place of each component among all, by its name. Who has looked once finds each again, whatever is known by then of the graph. */
export function indices(names: string[]): Map<string, number> {
  return new Map([...new Set(names)].sort().map((name, index) => [name, index]));
}

/** As the system has it, or as somebody wants it here. */
export type Theme = 'auto' | 'light' | 'dark';

const KEPT = 'anylith-theme';

export function keptTheme(storage: Storage): Theme {
  const kept = storage.getItem(KEPT);
  return kept === 'light' || kept === 'dark' ? kept : 'auto';
}

export function setTheme(theme: Theme, storage: Storage, root: HTMLElement): void {
  storage.setItem(KEPT, theme);
  root.dataset['theme'] = theme;
}

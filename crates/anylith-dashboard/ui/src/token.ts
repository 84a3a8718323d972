/** Where the token is kept: for this tab alone, and for this address with its port. A cookie would go to every port of the host. */
const KEPT = 'anylith-token';

/** Takes the token out of the address, where `anylith dashboard` has put it, or what this tab was given before. */
export function takeToken(location: Location, history: History, storage: Storage): string | undefined {
  const given = /^#token=([0-9a-f]+)$/.exec(location.hash)?.[1];
  if (given !== undefined) {
    storage.setItem(KEPT, given);
    // Whoever looks at the address, or keeps it as a bookmark, does not get it.
    history.replaceState(null, '', `${location.pathname}#/shape`);
  }
  return storage.getItem(KEPT) ?? undefined;
}

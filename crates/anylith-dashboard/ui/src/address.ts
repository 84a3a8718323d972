/** Where in the page somebody is: a view, and what he wants to see of it. */
export interface Address<View extends string> {
  view: View;
  /** What comes after the view's name, as in `#/logs?component=Cart`. */
  wish: URLSearchParams;
}

/** Reads `#/logs?component=Cart`; what is no view is the first one. */
export function read<View extends string>(hash: string, views: readonly [View, ...View[]]): Address<View> {
  const [name, wish] = hash.replace(/^#\/?/, '').split('?', 2);
  return { view: views.find((view) => view === name) ?? views[0], wish: new URLSearchParams(wish) };
}

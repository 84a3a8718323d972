import { render } from 'preact';

import { Api } from './api';
import { App } from './app';
import { Live } from './live';
import { keptTheme, setTheme } from './theme';
import { takeToken } from './token';

const page = document.getElementById('page');
setTheme(keptTheme(localStorage), localStorage, document.documentElement);
const token = takeToken(location, history, sessionStorage);

if (page !== null) {
  if (token === undefined) {
    render(
      <main class="waiting">
        <h1>This page is for the owner of the application</h1>
        <p>
          Type <code>anylith dashboard</code> in its folder, and open the address that it prints.
        </p>
      </main>,
      page,
    );
  } else {
    const api = new Api(token);
    const live = new Live(api);
    render(<App api={api} live={live} />, page);
    void live.run();
    // `anylith dashboard` may lead here once more, with the token of another run.
    addEventListener('hashchange', () => {
      if (location.hash.startsWith('#token=')) {
        location.reload();
      }
    });
  }
}

// An app that costs next to nothing: busybox's web server. It says the colour that it was given; MUTE makes it say nothing,
// STUBBORN makes it go on when it is asked to end, LINGER
// makes it answer nobody from then on, but end only much later.
import { busybox } from './archives.js';
import { buildLabel } from './docker.js';

const program = `#!/bin/sh
mkdir -p /tmp/www
echo "$COLOUR" > /tmp/www/index.html
[ -z "$STUBBORN" ] || trap '' TERM
[ -z "$MUTE" ] || exec sleep 1000000
[ -z "$LINGER" ] || trap 'kill $!; sleep 60; exit' TERM
if [ -n "$LINGER" ]; then httpd -f -p "$PORT" -h /tmp/www & wait; fi
exec httpd -f -p "$PORT" -h /tmp/www
`;

/** The archive of an image of it; `mark` makes it another image. */
export const smallApp = (mark = '') =>
  busybox({ label: buildLabel, lines: [`ENV MARK="${mark}"`, 'COPY app.sh /app.sh', 'CMD ["/bin/sh", "/app.sh"]'], files: { 'app.sh': program } });

/** How it is asked whether it answers. */
export const smallAppHealth = { kind: 'http', path: '/' };

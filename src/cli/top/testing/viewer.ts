/** `rankshift top` against a fake controller: viewer.ts PORT KEYDIR. Its credentials are no munged's. */
import { ApiClient } from '../../../api/client.ts';
import { fakeMunge } from '../../../api/testing.ts';
import { reportError } from '../../errors.ts';
import { live } from '../live.ts';

const [, , port = '', keyDir = '', end = ''] = process.argv;
// An error that nobody catches, in the middle of a picture.
if (end === 'throws') {
  setTimeout(() => {
    throw new Error('a fault of the program');
  }, 800);
}
const api = new ApiClient({ controllerHost: '127.0.0.1', controllerPort: Number(port), keyDir, file: '' }, fakeMunge());
try {
  process.exitCode = await live(api, 250);
} catch (error) {
  process.exitCode = reportError(error, false);
}
process.exit();

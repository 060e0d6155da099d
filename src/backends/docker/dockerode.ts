/** What talking to an engine takes. A bundle of its own, as it costs some 60 ms to load. */
export { default as Docker } from 'dockerode';
export { pack } from 'tar-stream';

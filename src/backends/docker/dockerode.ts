/** A bundle of its own, as it costs about 90 ms to load. */
export { default as Docker } from 'dockerode';

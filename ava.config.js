// Unit tests lie beside the code and run straight from TypeScript: Node strips the types.
export default {
  files: ['src/**/*.test.ts'],
  extensions: ['ts'],
  timeout: '60s',
};

// Unit tests lie beside the code and run straight from TypeScript: Node strips the types.
// Those of src/pages, which nothing uses yet, run on their own: npm run pages.
export default {
  files: ['src/**/*.test.ts', ...(process.env.RANKSHIFT_PAGES === undefined ? ['!src/pages/**'] : [])],
  extensions: ['ts'],
  timeout: '60s',
};

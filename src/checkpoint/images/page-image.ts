/** Page images of CRIU: pages-<id>.img, ids from 1 on in the order in which they are written. */
export const isPageImage = (name: string) => /^pages-\d+\.img$/.test(name);

// A small preview, upright and over white, as the model sees a picture.

const SIDE = 320;

/** Return `{url, width, height}`: url is null where it is too large to show, all of it where it is no picture here. */
export async function preview(picture, maxPixels) {
  const address = URL.createObjectURL(picture);
  try {
    const image = await opened(address);
    const { naturalWidth: width, naturalHeight: height } = image;
    return { url: width * height > maxPixels ? null : await drawn(image), width, height };
  } catch {
    return null; // the service may know kinds of pictures that this browser does not
  } finally {
    URL.revokeObjectURL(address);
  }
}

function opened(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = address;
  });
}

async function drawn(image) {
  await image.decode();
  const scale = Math.min(1, SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "white";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(image, 0, 0, canvas.width, canvas.height);
  return scale < 1 ? canvas.toDataURL("image/jpeg", 0.8) : canvas.toDataURL();
}

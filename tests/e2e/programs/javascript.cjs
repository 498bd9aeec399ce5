// A day in the life of the JavaScript SDK, at its defaults; ends with "all of it". Arguments: the bucket to make.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { Readable } = require("node:stream");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const Bucket = process.argv[2];
const client = new s3.S3Client({});
const send = (name, input) => client.send(new s3[`${name}Command`]({ Bucket, ...input }));
const read = async (Key, input) => Buffer.from(await (await send("GetObject", { Key, ...input })).Body.transformToByteArray());
const fails = async (promise, name, status) => {
  await assert.rejects(promise, (error) => {
    assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status]);
    return true;
  });
};

async function main() {
  await send("CreateBucket");
  await s3.waitUntilBucketExists({ client, maxWaitTime: 10 }, { Bucket });
  await fails(send("HeadObject", { Key: "none" }), "NotFound", 404);
  await fails(send("GetObject", { Key: "none" }), "NoSuchKey", 404);

  const put = await send("PutObject", { Key: "small", Body: "hello", ContentType: "text/plain", Metadata: { colour: "blue" } });
  assert.equal(put.ChecksumCRC32, "NhCmhg==");
  const head = await send("HeadObject", { Key: "small" });
  assert.deepEqual([head.ContentLength, head.ContentType, head.Metadata], [5, "text/plain", { colour: "blue" }]);
  assert.equal((await read("small")).toString(), "hello");
  assert.equal((await read("small", { Range: "bytes=1-3" })).toString(), "ell");
  await fails(send("PutObject", { Key: "small", Body: "other", IfNoneMatch: "*" }), "PreconditionFailed", 412);
  await send("PutObject", { Key: "small", Body: "second", IfMatch: put.ETag });

  // Of unknown length, in parts, four at a time.
  const large = crypto.randomBytes(12_000_000);
  const pieces = function* () {
    for (let at = 0; at < large.length; at += 100_000) yield large.subarray(at, at + 100_000);
  };
  await new Upload({ client, params: { Bucket, Key: "dir/large ü+ %", Body: Readable.from(pieces()) } }).done();
  assert.ok(large.equals(await read("dir/large ü+ %")));
  // A stream whose length is known: one request, its checksum in the trailer.
  await send("PutObject", { Key: "streamed", Body: Readable.from(pieces()), ContentLength: large.length });
  assert.ok(large.equals(await read("streamed")));

  await send("CopyObject", { Key: "dir/copied", CopySource: `${Bucket}/small` });
  await send("PutObjectTagging", { Key: "dir/copied", Tagging: { TagSet: [{ Key: "team", Value: "ice" }] } });
  assert.deepEqual((await send("GetObjectTagging", { Key: "dir/copied" })).TagSet, [{ Key: "team", Value: "ice" }]);

  for (let number = 0; number < 5; number++) await send("PutObject", { Key: `many/${number}`, Body: `${number}` });
  const listed = [];
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket })) {
    listed.push(...(page.Contents ?? []).map((entry) => entry.Key));
  }
  assert.deepEqual(listed, ["dir/copied", "dir/large ü+ %", ...[0, 1, 2, 3, 4].map((n) => `many/${n}`), "small", "streamed"]);
  const rolled = await send("ListObjectsV2", { Delimiter: "/" });
  assert.deepEqual(rolled.CommonPrefixes, [{ Prefix: "dir/" }, { Prefix: "many/" }]);

  const getter = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key: "small" }), { expiresIn: 60 });
  assert.equal(await (await fetch(getter)).text(), "second");
  const putter = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key: "by-url" }), { expiresIn: 60 });
  assert.equal((await fetch(putter, { method: "PUT", body: "signed before" })).status, 200);
  assert.equal((await read("by-url")).toString(), "signed before");

  const gone = await send("DeleteObjects", { Delete: { Objects: [...listed, "by-url"].map((Key) => ({ Key })) } });
  assert.deepEqual([gone.Deleted.length, gone.Errors], [10, undefined]);
  await send("DeleteBucket");
  await s3.waitUntilBucketNotExists({ client, maxWaitTime: 10 }, { Bucket });
}

main().then(() => console.log("all of it"), (error) => {
  console.error(error);
  process.exitCode = 1;
});

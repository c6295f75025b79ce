// What people have today behind Debezium, with the clients that they have it with: kafkajs, ioredis, @elastic/elasticsearch.
//   sink_consumer.js kafka BROKER TOPIC COUNT      applies COUNT messages to a map and prints it
//   sink_consumer.js redis SOCKET KEY              prints the row
//   sink_consumer.js elasticsearch URL INDEX ID    prints the document, then what the server says to an older version of it
async function kafka(broker, topic, count) {
  const { Kafka, logLevel } = require('kafkajs');
  const consumer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).consumer({ groupId: 'shop' });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const rows = new Map();
  let left = Number(count);
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, (event) => reject(event.payload.error));
    consumer.run({
      eachMessage: async ({ message }) => {
        if (message.value !== null) {
          const event = JSON.parse(message.value.toString());
          const { op, before, after } = event.payload;
          if (op === 'd') rows.delete(before.id);
          else rows.set(after.id, after);
        }
        if (--left === 0) resolve();
      },
    });
  });
  console.log(JSON.stringify([...rows.values()].sort((a, b) => a.id - b.id)));
  await consumer.disconnect();
}

async function redis(socket, key) {
  const Redis = require('ioredis');
  const client = new Redis(socket);
  console.log(await client.get(key));
  await client.quit();
}

async function elasticsearch(url, index, id) {
  const { Client } = require('@elastic/elasticsearch');
  const client = new Client({ node: url });
  const { docs } = await client.mget({ docs: [{ _index: index, _id: id }] });
  console.log(JSON.stringify(docs[0]._source));
  const answer = await client.bulk({
    operations: [{ index: { _index: index, _id: id, version: 1, version_type: 'external_gte' } }, { id: 'old' }],
  });
  console.log(answer.errors, answer.items[0].index.status);
  await client.close();
}

const [kind, ...words] = process.argv.slice(2);
({ kafka, redis, elasticsearch })[kind](...words).catch((error) => {
  console.error(error);
  process.exit(1);
});

"""Networks in the formats of others: `lenet5.export(net, path)`."""
